# SPDX-License-Identifier: Apache-2.0
"""What the frozen VLA makes of the demonstrations, and sequences of it to train memories on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from aura_ros.sim.tasks import Kind
from aura_ros.train.episodes import episode_files
from aura_ros.vla.embedded import EmbeddedVla
from aura_ros.vla.text import embed


@dataclass(frozen=True)
class Stream:
    """One episode as the memory sees it, T steps.

    z: float32 [T, D]; base, expert: float32 [T, C, A]; event, round: int64 [T]; go: bool [T]; task: its name.
    """

    task: str
    z: NDArray[np.float32]
    base: NDArray[np.float32]
    expert: NDArray[np.float32]
    event: NDArray[np.int64]
    round: NDArray[np.int64]
    go: NDArray[np.bool_]


@dataclass(frozen=True)
class Batch:
    """Sequences of different length side by side; `weight` [B, T] is 0 where a sequence has ended."""

    z: Tensor
    base: Tensor
    expert: Tensor
    event: Tensor
    go: Tensor
    weight: Tensor


def load_streams(vla: EmbeddedVla, work_dir: Path, split: str, task: str, every: int = 1) -> list[Stream]:
    """Run the frozen VLA over a folder of demonstrations, or take what an earlier run kept.

    Args:
        vla: the frozen backbone.
        work_dir: parent of the demonstrations; features are kept beside them by policy hash.
        split: 'train' or 'validation'.
        task: name of the task.
        every: take every n-th frame, so that frames are one VLA step apart.

    """
    cache = work_dir / 'features' / vla.spec.policy_hash[:12] / f'{split}-{task}'
    cache.mkdir(parents=True, exist_ok=True)
    streams = []
    for file in tqdm(episode_files(work_dir / 'demonstrations' / f'{split}-{task}'), desc=f'features {split}-{task}'):
        kept = cache / file.name
        if not kept.exists():
            with np.load(file) as arrays:
                z, base = _features(vla, {name: arrays[name][::every] for name in arrays.files if name != 'texts'},
                                    [str(text) for text in arrays['texts']])
                part = cache / f'part-{file.name}'
                np.savez(part, z=z, base=base, expert=arrays['actions'][::every], event=_events(arrays['event'], every),
                         round=arrays['round'][::every], go=arrays['go'][::every])
                part.rename(kept)
        with np.load(kept) as arrays:
            streams.append(Stream(task, **{name: arrays[name] for name in arrays.files}))
    return streams


def _events(event: NDArray[np.int64], every: int) -> NDArray[np.int64]:
    """Keep one event of each group of frames: the one of the highest interest, a cue first."""
    rank = {int(Kind.CUE): 3, int(Kind.CUE_REPEAT): 2}
    groups = [event[i:i + every] for i in range(0, len(event), every)]
    return np.array([max(group, key=lambda kind: rank.get(int(kind), min(int(kind), 0) + 1)) for group in groups])


def _features(vla: EmbeddedVla, arrays: dict[str, NDArray[np.generic]],
              texts: list[str]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    vectors = np.stack([embed(text) for text in texts])
    features, chunks = [], []
    for start in range(0, len(arrays['joints']), 64):
        part = slice(start, start + 64)
        z, base = vla.infer_batch(arrays['front'][part], arrays['wrist'][part], arrays['joints'][part],
                                  vectors[arrays['instruction'][part].astype(np.int64)])
        features.append(z)
        chunks.append(base)
    return np.concatenate(features), np.concatenate(chunks)


def segments(streams: list[Stream], rounds: int) -> list[tuple[Stream, slice]]:
    """Every run of `rounds` consecutive whole rounds of every stream."""
    found = []
    for stream in streams:
        starts = [*np.flatnonzero(np.diff(stream.round, prepend=-1)), len(stream.round)]
        found += [(stream, slice(a, b)) for a, b in zip(starts, starts[rounds:], strict=False)]
    return found


def collate(parts: list[tuple[Stream, slice]], idle_weight: float) -> Batch:
    """Put segments side by side.

    Args:
        parts: what to take from which stream.
        idle_weight: weight of a step without go sign; a step with it counts 1.

    """
    length = max(part.stop - part.start for _, part in parts)

    def stack(name: str, fill: float) -> Tensor:
        rows = [torch.from_numpy(np.asarray(getattr(stream, name)[part])) for stream, part in parts]
        out = rows[0].new_full((len(rows), length, *rows[0].shape[1:]), fill)
        for i, row in enumerate(rows):
            out[i, :len(row)] = row
        return out

    go = stack('go', False)
    weight = torch.zeros(go.shape)
    for i, (_, part) in enumerate(parts):
        weight[i, :part.stop - part.start] = idle_weight
    return Batch(stack('z', 0.0), stack('base', 0.0), stack('expert', 0.0), stack('event', -1), go,
                 torch.where(go, 1.0, weight))
