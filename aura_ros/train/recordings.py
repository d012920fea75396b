# SPDX-License-Identifier: Apache-2.0
"""Training data from recordings of a robot: features of the frozen backbone, and the recorded actions.

A recording becomes one .npz file of plain arrays. Its name depends on the backbone's weights, the content of the
recording and the mapping. It has T steps of all episodes, D features, and chunks of C actions for A joints:
    z            float32 [T, D]
    base, expert float32 [T, C, A]  the backbone's joint targets and the recorded ones [rad, m]; without a recorded
                                    action, `expert` repeats `base`, and `go` is False: training ignores it
    go           bool [T]           whether there are recorded actions
    episode      int64 [T]
    about        JSON               origin of the data

A recording has no rounds. Training takes sequences of whole rounds, so `round_steps` steps count as one.
This module imports no torch, because `aura features` needs only the replay extra.
"""

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
from aura_ros.common.files import open_arrays, replace_arrays
from aura_ros.control.robot_file import CheckedFile
from aura_ros.recordings.bags import Bag
from aura_ros.replay.run import mapping_of
from aura_ros.replay.steps.arrays import Steps
from aura_ros.replay.steps.cache import content_digest
from aura_ros.replay.steps.features import BackboneSteps
from aura_ros.replay.steps.mapping import Mapping
from aura_ros.replay.steps.mapping_file import as_yaml
from aura_ros.replay.steps.recorded import RecordedSteps, recorded_backbone
from aura_ros.replay.steps.stream import StepStream
from aura_ros.vla.protocol import Backbone

TASK = 'recorded'
"""Task name of recordings."""

CONTEXT = 1000
"""Most steps before a held-out part that fill the memory. A KV-cache takes memory by the square of the steps."""

_COLUMNS = ('z', 'base', 'expert', 'go', 'episode')


@dataclass(frozen=True)
class FeatureFile:
    """The features of one recording, on disk."""

    file: Path
    """File with the arrays that the module docstring lists."""
    about: AnyMapping[str, Any]
    """`bag`, `sha256` of its content, `mapping`, `backbone_hash`, `steps`, `covered` by actions, `episodes`, `partial`
    and `notes`.
    """


def keep_features(
    path: Path,
    folder: Path,
    backbone: Backbone,
    mapping: Mapping | None = None,
    instruction: str = '',
    robot: CheckedFile | None = None,
) -> FeatureFile:
    """Compute the features of a recording with the frozen backbone, or take recorded steps, unless the file exists.

    Args:
        path: path of the recording, see `Bag`.
        folder: folder for the features.
        backbone: frozen backbone.
        mapping: topics of the inputs; None guesses them.
        instruction: in place of that of the mapping, unless empty.
        robot: robot file; None takes that of the mapping, or the recorded one.

    Raises:
        BagError: if the recording cannot be read, or has no recorded actions or not all inputs of the backbone.
    """
    spec = backbone.spec
    with Bag(path) as bag:
        mapping, notes = mapping_of(bag, mapping, instruction, spec, robot)
        if not mapping.actions:
            raise BagError(
                f'{path}: the mapping has no actions, so there is nothing to learn from: add `actions` to the mapping'
            )
        digest = content_digest(bag.files)
        text = as_yaml(mapping)
        key = hashlib.sha256(f'{digest}\0{text}\0{spec.action_spec.text}'.encode()).hexdigest()[:12]
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
            'notes': [*notes, *bag.notes, *stream.facts().notes],
        }
    if not covered:
        raise BagError(
            f'{path}: none of the {len(columns["z"])} steps has a recorded action for its whole chunk; '
            'aura replay shows how the streams align'
        )
    file.parent.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, Any] = {**columns, 'about': np.asarray(json.dumps(about))}
    replace_arrays(file, arrays)
    return FeatureFile(file, about)


def _columns(path: Path, stream: StepStream) -> dict[str, NDArray[Any]]:
    rows = [replace(row, thumbnail=b'') for row in stream.rows([])]
    if not rows:
        raise BagError(f'{path} contains no step: {"; ".join(stream.facts().notes)}')
    steps = Steps.of(stream.info, rows)
    go = steps.has_recorded_actions
    return {
        'z': steps.features,
        'base': steps.base_actions,
        'go': go,
        'expert': np.where(go[:, None, None], steps.recorded_actions, steps.base_actions),
        'episode': np.cumsum(np.append(False, steps.episode_ids[1:] != steps.episode_ids[:-1]), dtype=np.int64),
    }


def read_about(file: Path) -> dict[str, Any]:
    """Return the origin of a file of features.

    Raises:
        ConfigError: if the file holds no features.
    """
    try:
        with open_arrays(file) as arrays:
            found: dict[str, Any] = json.loads(str(arrays['about']))
            return found
    except ConfigError as error:
        raise ConfigError(f'{file} holds no features ({error}): delete it') from error


Part = AnyMapping[str, Any]
"""Consecutive steps of one episode, as fields of a `sequences.Stream`."""


def split(kept: Sequence[FeatureFile], holdout: float, round_steps: int) -> tuple[list[Part], list[Part]]:
    """Split recordings into training data and held-out data, the last share of each episode.

    A held-out part has the steps before it as `context`, CONTEXT at most, because a memory holds what it saw there.

    Args:
        kept: features of recordings.
        holdout: share of each episode that is held out, 0..1.
        round_steps: number of steps that count as one round.

    Raises:
        ConfigError: if one of the two has no recorded action.
    """
    train: list[Part] = []
    held_out: list[Part] = []
    for one in kept:
        with open_arrays(one.file) as arrays:
            columns = {name: arrays[name] for name in _COLUMNS}
        episode = columns.pop('episode')
        bounds = [0, *(np.flatnonzero(np.diff(episode)) + 1).tolist(), len(episode)]
        for begin, end in pairwise(bounds):
            middle = end - round((end - begin) * holdout)
            train += _part(columns, begin, middle, round_steps)
            before = max(begin, middle - CONTEXT)
            held_out += _part(columns, before, end, round_steps, middle - before)
    for parts, what in ((train, 'train on'), (held_out, 'evaluate on')):
        if not parts:
            raise ConfigError(f'no recorded action to {what}: record longer, or change --holdout (now {holdout:g})')
    return train, held_out


def _part(
    columns: AnyMapping[str, NDArray[Any]], begin: int, end: int, round_steps: int, context: int = 0
) -> list[Part]:
    steps = end - begin
    found: dict[str, Any] = {name: column[begin:end] for name, column in columns.items()}
    found['go'] = found['go'] & (np.arange(steps) >= context)
    if not found['go'].any():
        return []
    # The context lies before round 0, so that the held-out steps begin with a round of their own.
    rounds = (np.arange(steps) - context) // round_steps
    return [{**found, 'event': np.full(steps, -1, np.int64), 'round': rounds, 'context': context}]


def rounds_within(parts: Sequence[Part], wanted: int) -> int:
    """Return the rounds of a sequence: the wanted number, or that of the longest part if it has fewer."""
    return min(wanted, max(int(part['round'][-1]) + 1 for part in parts))
