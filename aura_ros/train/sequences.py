# SPDX-License-Identifier: Apache-2.0
"""Outputs of the frozen backbone on the demonstrations, and the sequences that memories are trained on."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aura_ros.common.console import make_console
from aura_ros.common.files import open_arrays, replace_arrays
from aura_ros.common.names import EventKind
from aura_ros.common.progress import Bar
from aura_ros.train.episodes import episode_files
from aura_ros.vla.embedded import EmbeddedVla
from aura_ros.vla.text import embed

FRAMES_PER_STEP = {'train-visible': 2}
"""Frames per VLA step, for folders of demonstrations with more than one."""

CUE_STEPS = 3
"""VLA steps that show a cue of half a second."""


@dataclass(frozen=True)
class Stream:
    """One episode as input of a memory, T steps."""

    task: str
    z: NDArray[np.float32]
    """Float32 [T, D]; base, expert: float32 [T, C, A]; event, round: int64 [T]; go: bool [T]; task: its name."""
    base: NDArray[np.float32]
    expert: NDArray[np.float32]
    event: NDArray[np.int64]
    round: NDArray[np.int64]
    go: NDArray[np.bool_]
    since: NDArray[np.int64] | None = None
    """Int64 [T]: the step at which what the present step asks for was shown. None means in the same round."""
    context: int = 0
    """First steps of the episode that are not evaluated. They give the memory what it holds in use."""


@dataclass(frozen=True)
class Batch:
    """Sequences of different lengths. After its end, a sequence repeats its last step with `weight` [B, T] 0."""

    z: Tensor
    base: Tensor
    expert: Tensor
    weight: Tensor


def load_streams(vla: EmbeddedVla, work_dir: Path, split: str, task: str) -> list[Stream]:
    """Run the frozen backbone over a folder of demonstrations, or load the results of an earlier run.

    Args:
        vla: the frozen backbone.
        work_dir: parent of the demonstrations; features are stored beside them by backbone hash.
        split: 'train' or 'validation'.
        task: name of the task.
    """
    cache = work_dir / 'features' / vla.spec.backbone_hash[:12] / f'{split}-{task}'
    cache.mkdir(parents=True, exist_ok=True)
    streams = []
    found = episode_files(work_dir / 'demonstrations' / f'{split}-{task}')
    with Bar(make_console(), f'features {split}-{task}', len(found)) as bar:
        for file in found:
            kept = cache / file.name
            if not kept.exists():
                with open_arrays(file) as arrays:
                    replace_arrays(kept, _features(vla, arrays, FRAMES_PER_STEP.get(f'{split}-{task}', 1)))
            with open_arrays(kept) as arrays:
                streams.append(Stream(task, **{name: arrays[name] for name in arrays}))
            bar.advance()
    return streams


def _features(vla: EmbeddedVla, arrays: Mapping[str, Any], every: int) -> dict[str, Any]:
    """Return the columns of a Stream from an episode file. Every n-th frame is a VLA step."""
    text = np.stack([embed(str(text)) for text in arrays['texts']])[arrays['instruction'][::every]]
    front, wrist, joints = (arrays[name][::every] for name in ('front', 'wrist', 'joints'))
    outputs = [
        vla.infer_batch(front[i : i + 64], wrist[i : i + 64], joints[i : i + 64], text[i : i + 64])
        for i in range(0, len(joints), 64)
    ]
    z, base = (np.concatenate(column) for column in zip(*outputs, strict=True))
    kept = {name: arrays[name][::every] for name in ('event', 'round', 'go')}
    since = shown_since(kept['round'], arrays['lamps'][::every], arrays['texts'][arrays['instruction'][::every]])
    return {'z': z, 'base': base, 'expert': arrays['actions'][::every], 'since': since, **kept}


def shown_since(rounds: NDArray[np.int64], lamps: NDArray[np.float32], texts: NDArray[np.str_]) -> NDArray[np.int64]:
    """Return the step at which what each step asks for was shown, int64 [T].

    This is the start of the round, except where the instruction asks for one of the three lamps.

    Args:
        rounds: int64 [T].
        lamps: colours of the lamps, one-hot, dark first, [T, 3, 4].
        texts: instructions, [T].
    """
    from aura_ros.sim.tasks.many import TEXT
    from aura_ros.sim.world import SIDES

    first = np.flatnonzero(np.diff(rounds, prepend=-1))
    since = first[np.searchsorted(first, np.arange(len(rounds)), side='right') - 1]
    for lamp, side in enumerate(SIDES):
        lit = lamps[:, lamp, 1:].any(-1)
        latest = np.maximum.accumulate(np.where(lit, np.arange(len(rounds)), 0))
        since = np.where(texts == TEXT.format(side), latest, since)
    return since.astype(np.int64)


Part = tuple[Stream, NDArray[np.int64]]
"""A stream, and the steps to take from it."""


def segments(streams: list[Stream], rounds: int) -> list[Part]:
    """Return every run of `rounds` consecutive whole rounds of every stream."""
    found = []
    for stream in streams:
        starts = [*np.flatnonzero(np.diff(stream.round, prepend=-1)), len(stream.round)]
        found += [(stream, np.arange(a, b)) for a, b in zip(starts, starts[rounds:], strict=False)]
    return found


def thin(part: Part, keep: float, rng: np.random.Generator) -> Part:
    """Drop some of the steps that ask for nothing. All steps of cues and of the go phase stay.

    A gated state does not change without a write, so shorter waits cost the training little. Other memories need waits
    of all lengths, so `keep` differs between sequences.
    """
    stream, steps = part
    cue = np.isin(stream.event[steps], (EventKind.CUE, EventKind.CUE_REPEAT))
    for later in range(1, CUE_STEPS):
        cue[later:] |= np.isin(stream.event[steps[:-later]], (EventKind.CUE, EventKind.CUE_REPEAT))
    wanted = stream.go[steps] | cue | (rng.random(len(steps)) < keep)
    return stream, steps[wanted]


def collate(parts: list[Part], idle_weight: float) -> Batch:
    """Collect segments in one batch.

    A step has weight 0 if what it asks for was shown before the segment, because its answer is then unknown.

    Args:
        parts: streams and their steps.
        idle_weight: weight of a step without the go sign; a step with it has weight 1.
    """
    length = max(len(steps) for _, steps in parts)

    def stack(name: str) -> Tensor:
        rows = [torch.from_numpy(getattr(stream, name)[steps]) for stream, steps in parts]
        return torch.stack([torch.cat([row, row[-1:].expand(length - len(row), *row.shape[1:])]) for row in rows])

    go = stack('go')
    left_out = torch.arange(length) >= torch.tensor([[len(steps)] for _, steps in parts])
    for row, (stream, steps) in zip(left_out, parts, strict=True):
        if stream.since is not None:
            row[: len(steps)] |= torch.from_numpy(stream.since[steps] < stream.since[steps[0]])
    weight = torch.where(go, 1.0, idle_weight).masked_fill(left_out, 0.0)
    return Batch(stack('z'), stack('base'), stack('expert'), weight)
