# SPDX-License-Identifier: Apache-2.0
"""From recordings of a robot to what memories are trained on: features of the frozen VLA, and what was done instead.

A recording becomes one .npz of plain arrays, kept by the VLA's weights, the recording's content and the mapping; T
steps of all of its episodes, D features, chunks of C actions for A joints:
    z            float32 [T, D]
    base, expert float32 [T, C, A]  the VLA's own joint targets, and the recorded ones [rad, m]; where nothing was
                                    recorded `expert` repeats `base` and `go` is False, so that nothing is learnt of it
    go           bool [T]           whether there are recorded actions
    episode      int64 [T]
    about        JSON               where it comes from

A recording knows no rounds. Training takes sequences of whole rounds, so `round_steps` steps count as one.
No torch here: aura features runs where only a replay does.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping as AnyMapping
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aura_ros.common.errors import BagError, ConfigError
from aura_ros.common.files import replace_arrays
from aura_ros.recordings.bags import Bag
from aura_ros.replay.run import Settings, mapping_of
from aura_ros.replay.steps.arrays import StepsBuilder
from aura_ros.replay.steps.cache import content_digest
from aura_ros.replay.steps.features import BackboneSteps
from aura_ros.replay.steps.mapping import Mapping, as_yaml
from aura_ros.replay.steps.recorded import RecordedSteps, recorded_backbone
from aura_ros.replay.steps.stream import StepStream
from aura_ros.vla.protocol import Backbone

TASK = 'recorded'
"""What the task of a recording is called."""

_COLUMNS = ('z', 'base', 'expert', 'go', 'episode')


@dataclass(frozen=True)
class Reading:
    """How recordings are read."""

    mapping: Mapping | None = None
    """Which topic is what; None guesses."""
    instruction: str = ''
    """What the robot was told, in place of the mapping's; empty takes the mapping's."""


@dataclass(frozen=True)
class FeatureFile:
    """The features of one recording, on disk."""

    file: Path
    """With the arrays of the module's docstring."""
    about: AnyMapping[str, Any]
    """`bag`, `sha256` of its content, `mapping`, `backbone_hash`, `steps`, `covered` by actions, `episodes`, `partial`
    and `notes`.
    """


def keep_features(path: Path, folder: Path, backbone: Backbone, reading: Reading) -> FeatureFile:
    """Run the frozen VLA over a recording, or take its recorded steps, unless that was done before.

    Args:
        path: of the recording, see `Bag`.
        folder: where features are kept.
        backbone: the frozen VLA.
        reading: how to read the recording.

    Raises:
        BagError: it cannot be read, lacks what the VLA needs, or has no recorded actions.
    """
    spec = backbone.spec
    with Bag(path) as bag:
        asked = Settings((), mapping=reading.mapping, instruction=reading.instruction)
        mapping, notes = mapping_of(bag, asked, backbone)
        if mapping.actions is None:
            raise BagError(f'{path}: the mapping names no actions, and without them there is nothing to learn from')
        digest = content_digest(bag.files)
        text = as_yaml(mapping)
        key = hashlib.sha256(f'{digest}\0{text}'.encode()).hexdigest()[:12]
        file = folder / spec.backbone_hash[:12] / f'{path.name.split(".")[0]}-{key}.npz'
        if file.exists():
            return FeatureFile(file, read_about(file))
        fits = recorded_backbone(bag, mapping) == spec.backbone_hash
        stream: StepStream = (
            RecordedSteps(bag, mapping, spec) if fits else BackboneSteps(bag, mapping, backbone, digest)
        )
        columns = _columns(path, stream)
        covered = int(columns['go'].sum())
        about = {
            'bag': path.name,
            'sha256': digest,
            'mapping': text,
            'backbone_hash': spec.backbone_hash,
            'steps': len(columns['z']),
            'covered': covered,
            'episodes': int(columns['episode'][-1]) + 1,
            'partial': bag.partial,
            'notes': [*notes, *stream.facts().notes],
        }
    if not covered:
        raise BagError(
            f'{path}: none of its {len(columns["z"])} steps has a recorded action for its whole chunk; '
            'aura replay shows how the streams fit together'
        )
    file.parent.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, Any] = {**columns, 'about': np.asarray(json.dumps(about))}
    replace_arrays(file, arrays)
    return FeatureFile(file, about)


def _columns(path: Path, stream: StepStream) -> dict[str, NDArray[Any]]:
    builder = StepsBuilder(stream.info)
    for row in stream.rows([]):
        builder.add(replace(row, thumbnail=b''))
    if not len(builder):
        raise BagError(f'{path} gives no step: {"; ".join(stream.facts().notes)}')
    steps = builder.take()
    go = steps.has_recorded_actions
    return {
        'z': steps.features,
        'base': steps.base_actions,
        'go': go,
        'expert': np.where(go[:, None, None], steps.recorded_actions, steps.base_actions),
        'episode': np.cumsum(np.append(False, steps.episode_ids[1:] != steps.episode_ids[:-1]), dtype=np.int64),
    }


def read_about(file: Path) -> dict[str, Any]:
    """What a file of features says of itself.

    Raises:
        ConfigError: it is none.
    """
    try:
        with np.load(file, allow_pickle=False) as arrays:
            found: dict[str, Any] = json.loads(str(arrays['about']))
            return found
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(f'{file} holds no features ({error}); remove it') from error


@dataclass(frozen=True)
class Part:
    """Consecutive steps of one episode: the columns of a `sequences.Stream`."""

    columns: AnyMapping[str, NDArray[Any]]


def split(kept: Sequence[FeatureFile], holdout: float, round_steps: int) -> tuple[list[Part], list[Part]]:
    """What to train on, and what to judge by: the last share of each episode.

    Args:
        kept: recordings.
        holdout: share of each episode to judge by, 0..1, not trained on.
        round_steps: steps that count as one round.

    Raises:
        ConfigError: one of the two would be without a recorded action.
    """
    train: list[Part] = []
    held: list[Part] = []
    for one in kept:
        with np.load(one.file, allow_pickle=False) as arrays:
            columns = {name: arrays[name] for name in _COLUMNS}
        episode = columns.pop('episode')
        bounds = [0, *(np.flatnonzero(np.diff(episode)) + 1).tolist(), len(episode)]
        for begin, end in pairwise(bounds):
            middle = end - round((end - begin) * holdout)
            train += _part(columns, begin, middle, round_steps)
            held += _part(columns, middle, end, round_steps)
    for parts, what in ((train, 'train on'), (held, 'judge by')):
        if not parts:
            raise ConfigError(
                f'there is no recorded action to {what}: record longer, or change --holdout (now {holdout:g})'
            )
    return train, held


def _part(columns: AnyMapping[str, NDArray[Any]], begin: int, end: int, round_steps: int) -> list[Part]:
    steps = end - begin
    found = {name: column[begin:end] for name, column in columns.items()}
    if not steps or not found['go'].any():
        return []
    return [Part({**found, 'event': np.full(steps, -1, np.int64), 'round': np.arange(steps) // round_steps})]


def rounds_within(parts: Sequence[Part], wanted: int) -> int:
    """Rounds of a sequence: as many as wanted, or as the longest part has."""
    return min(wanted, max(int(part.columns['round'][-1]) + 1 for part in parts))
