# SPDX-License-Identifier: Apache-2.0
"""Outputs of the frozen backbone on the demonstrations, and the sequences that memories are trained on."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
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
from aura_ros.sim.tasks.single import TOUCH_TEXTS
from aura_ros.sim.world import BLOCKS
from aura_ros.train.demonstrations import driven_name
from aura_ros.train.episodes import episode_files
from aura_ros.train.lessons import DUE, LABELS, UNKNOWN, Labels, labels_of
from aura_ros.train.teacher import CUE_STEPS, cues_of, windows_of
from aura_ros.vla.embedded import EmbeddedVla
from aura_ros.vla.text import embed

COLOUR_TASKS = ('recall', 'sequence', 'both', 'many')
"""Tasks whose cues are colours of blocks to touch."""

FRAMES_PER_STEP = {'train-visible': 2}
"""Frames per VLA step, for folders of demonstrations with more than one."""

_COLOURS = ('named', 'light', 'colour', 'answer')


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
    cue: NDArray[np.int64] | None = None
    """Int64 [T], see `teacher.cues_of`; None without cues."""
    named: NDArray[np.float32] | None = None
    """Float32 [T, 3, C, A]: chunks of the backbone where the instruction names red, green or blue; 0 without an answer.
    light, colour, answer: int64 [T], see `recolour.find_colours`. All are None in tasks whose cues have no colours.
    """
    light: NDArray[np.int64] | None = None
    colour: NDArray[np.int64] | None = None
    answer: NDArray[np.int64] | None = None
    due: NDArray[np.int64] | None = None
    """Int64 [T, DUE]; shown, asked: int64 [T]: what the steps teach beside actions, see `lessons.labels_of`."""
    shown: NDArray[np.int64] | None = None
    asked: NDArray[np.int64] | None = None
    context: int = 0
    """First steps of the episode that are not evaluated. They give the memory what it holds in use."""


@dataclass(frozen=True)
class Batch:
    """Sequences of different lengths. After its end, a sequence repeats its last step with `weight` [B, T] 0."""

    z: Tensor
    base: Tensor
    expert: Tensor
    weight: Tensor
    windows: Tensor
    """Number of the change that each step shows, see `teacher.windows_of`; int64 [B, T]."""
    labels: Labels
    """What the steps teach beside actions."""


def load_streams(vla: EmbeddedVla, work_dir: Path, split: str, task: str, driven_by: str | None = None) -> list[Stream]:
    """Run the frozen backbone over demonstrations, or load the results of an earlier run.

    Args:
        vla: the frozen backbone.
        work_dir: parent of the demonstrations; features are stored beside them by backbone hash.
        split: 'train' or 'validation'.
        task: name of the task.
        driven_by: kind of the memories whose driven episodes follow, if there are any; None means demonstrations only.
    """
    name = f'{split}-{task}'
    driven = sorted((work_dir / 'demonstrations').glob(f'{driven_name(name, driven_by)}*')) if driven_by else []
    names = (name, *(folder.name for folder in driven if any(folder.iterdir())))
    return [stream for folder in names for stream in _load_folder(vla, work_dir, folder, task)]


def _load_folder(vla: EmbeddedVla, work_dir: Path, name: str, task: str) -> list[Stream]:
    cache = work_dir / 'features' / vla.spec.backbone_hash[:12] / name
    cache.mkdir(parents=True, exist_ok=True)
    streams = []
    found = episode_files(work_dir / 'demonstrations' / name)
    with Bar(make_console(), f'features {name}', len(found)) as bar:
        for file in found:
            kept = cache / file.name
            if not _is_kept(kept, file, task):
                with open_arrays(file) as arrays:
                    features = _features(vla, arrays, FRAMES_PER_STEP.get(name, 1), task)
                replace_arrays(kept, features)
            with open_arrays(kept) as arrays:
                columns: dict[str, Any] = {name: arrays[name] for name in arrays}
            columns |= labels_of(task, columns) if 'answer' in columns else {}
            streams.append(Stream(task, **columns))
            bar.advance()
    return streams


def _is_kept(kept: Path, episode: Path, task: str) -> bool:
    """Return whether the features of an episode are kept, with all columns; those of another version may have fewer.

    Features that are older than the episode are those of an earlier recording.
    """
    if not kept.exists() or kept.stat().st_mtime_ns < episode.stat().st_mtime_ns:
        return False
    with open_arrays(kept) as arrays:
        return {'since', 'cue', *(_COLOURS if task in COLOUR_TASKS else ())} <= set(arrays)


def _features(vla: EmbeddedVla, arrays: Mapping[str, Any], every: int, task: str) -> dict[str, Any]:
    """Return the columns of a Stream from an episode file. Every n-th frame is a VLA step."""
    from aura_ros.train.recolour import find_colours

    part = {name: arrays[name][::every] for name in arrays if name != 'texts'}
    texts = arrays['texts'][part['instruction']]
    z, base = _infer(vla, part, texts)
    kept = {name: part[name] for name in ('event', 'round', 'go')}
    columns = {'z': z, 'base': base, 'expert': part['actions'], **kept}
    columns |= {'since': shown_since(kept['round'], part['lamps'], texts), 'cue': cues_of(part)}
    if task in COLOUR_TASKS:
        columns |= find_colours(part, texts, task)
        columns['named'] = np.zeros((len(z), len(BLOCKS), *base.shape[1:]), np.float32)
        asked = np.flatnonzero(columns['answer'] >= 0)
        some = {name: part[name][asked] for name in ('front', 'wrist', 'joints')}
        # An episode may ask for no colour, and nothing cannot be stacked.
        for i, name in enumerate(BLOCKS if len(asked) else ()):
            words = np.full(len(asked), TOUCH_TEXTS[0].format(name))
            columns['named'][asked, i] = _infer(vla, some, words)[1]
    return columns


def _infer(vla: EmbeddedVla, part: Mapping[str, Any], texts: NDArray[np.str_]) -> tuple[NDArray[np.float32], ...]:
    """Return features and chunks of the backbone for N frames and their instructions."""
    distinct, which = np.unique(texts, return_inverse=True)
    text = np.stack([embed(str(each)) for each in distinct])[which]
    rows = [slice(i, i + 64) for i in range(0, len(texts), 64)]
    outputs = [vla.infer_batch(part['front'][r], part['wrist'][r], part['joints'][r], text[r]) for r in rows]
    return tuple(np.concatenate(column) for column in zip(*outputs, strict=True))


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


def name_waits(stream: Stream) -> Stream:
    """Return a stream of *recall* whose colour is due from the cue to the end of the round; others are unchanged."""
    if stream.task != 'recall' or stream.due is None or stream.light is None or stream.colour is None:
        return stream
    due, colour = stream.due.copy(), UNKNOWN
    for t in range(len(due)):
        if t and stream.round[t] != stream.round[t - 1]:
            colour = UNKNOWN
        if stream.light[t] == 0:  # the beacon
            colour = int(stream.colour[t])
        due[t, 0] = colour
    return replace(stream, due=due)


def thin(part: Part, keep: float, rng: np.random.Generator) -> Part:
    """Drop some of the steps that ask for nothing. All steps of cues, of changes and of the go phase stay.

    A gated state does not change without a write, so shorter waits cost the training little. Other memories need waits
    of all lengths, so `keep` differs between sequences.
    """
    stream, steps = part
    cue = np.isin(stream.event[steps], (EventKind.CUE, EventKind.CUE_REPEAT))
    for later in range(1, CUE_STEPS):
        cue[later:] |= np.isin(stream.event[steps[:-later]], (EventKind.CUE, EventKind.CUE_REPEAT))
    wanted = stream.go[steps] | cue | (windows_in((stream, steps)) > 0) | (rng.random(len(steps)) < keep)
    return stream, steps[wanted]


def windows_in(part: Part) -> NDArray[np.int64]:
    """Return the number of the change that each step of a part shows, see `teacher.windows_of`."""
    stream, steps = part
    return windows_of(stream.task, stream.event[steps], None if stream.cue is None else stream.cue[steps])


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
    after_end = torch.arange(length) >= torch.tensor([[len(steps)] for _, steps in parts])
    left_out = after_end.clone()
    for row, (stream, steps) in zip(left_out, parts, strict=True):
        if stream.since is not None:
            row[: len(steps)] |= torch.from_numpy(stream.since[steps] < stream.since[steps[0]])
    weight = torch.where(go, 1.0, idle_weight).masked_fill(left_out, 0.0)
    windows = torch.zeros(after_end.shape, dtype=torch.long)
    for row, part in zip(windows, parts, strict=True):
        row[: len(part[1])] = torch.from_numpy(windows_in(part))
    labels = Labels(*(_labels(parts, name, left_out) for name in LABELS))
    return Batch(stack('z'), stack('base'), stack('expert'), weight, windows, labels)


def _labels(parts: list[Part], name: str, left_out: Tensor) -> Tensor:
    """Return a column of labels, [B, T, ...]: UNKNOWN where a stream has none, and at the steps `left_out`, [B, T]."""
    found = torch.full((*left_out.shape, *([DUE] if name == 'due' else [])), UNKNOWN)
    for row, (stream, steps) in zip(found, parts, strict=True):
        if (column := getattr(stream, name)) is not None:
            row[: len(steps)] = torch.from_numpy(column[steps])
    found[left_out] = UNKNOWN
    return found
