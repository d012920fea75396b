# SPDX-License-Identifier: Apache-2.0
"""A recording on which all policies have run: what they did, beside what is known of the recording and its steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from aura_ros.replay.columns import Columns
from aura_ros.replay.evaluate import PolicyRun, Write
from aura_ros.replay.steps.arrays import StepsInfo, StepSource

CARDS = 96
"""Writes of a policy that the report describes one by one; the others are in its JSON."""
STRETCHES = 9
"""Writes of a policy whose pictures the report shows over time."""


@dataclass(frozen=True)
class About:
    """What is known of a recording besides its steps.

    name: of the recording, for people.
    path: where it is.
    digest: SHA-256 of its content, hex.
    mapping: which topic is what, as YAML.
    partial: what is missing of the recording; empty when it is whole.
    inputs: how each stream was used, a row of figures by its name.
    notes: what else a reader should know, in sentences.
    live: whether the writes are those of the live run, in a sentence; empty where it recorded none.
    drivers: share of the steps that each policy drove when it was recorded [1]; empty where it does not say.
    """

    name: str
    path: str = ''
    digest: str = ''
    mapping: str = ''
    partial: str = ''
    inputs: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    live: str = ''
    drivers: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Evaluated:
    """A recording of N steps on which all policies have run.

    about: what is known of it besides.
    info: what holds for all steps.
    columns: where the figures of the steps are; `rest` it after a look at many of them.
    stamps_ns, seqs: of the steps, see steps.py.
    episode_names: in the order in which they began.
    episodes: int32 [N], which of them each step is of.
    recorded: float32 [N, A], the first recorded joint target at each step; NaN where there is none.
    runs: by name of the policy.
    thumbnails: JPEG by row, for the `shown` writes.
    """

    about: About
    info: StepsInfo
    columns: Columns
    stamps_ns: NDArray[np.int64]
    seqs: NDArray[np.int64]
    episode_names: tuple[str, ...]
    episodes: NDArray[np.int32]
    recorded: NDArray[np.float32]
    runs: dict[str, PolicyRun]
    thumbnails: dict[int, bytes]

    @property
    def times_s(self) -> NDArray[np.float64]:
        """Seconds since the first step, float64 [N]."""
        return np.asarray((self.stamps_ns - self.stamps_ns[0]) * 1e-9)

    @property
    def segments(self) -> NDArray[np.int64]:
        """A number for each step that changes with the episode, int64 [N]."""
        return np.cumsum(np.append(False, self.episodes[1:] != self.episodes[:-1]), dtype=np.int64)


def collect(about: About, source: StepSource, runs: dict[str, PolicyRun], columns: Columns) -> Evaluated:
    """Put together what the policies did with what the report shows of the steps.

    Raises:
        ConfigError: there is no room for the figures.

    """
    count = len(source)
    stamps, seqs = columns.new((count,), np.int64), columns.new((count,), np.int64)
    episodes = columns.new((count,), np.int32)
    recorded = columns.new((count, len(source.info.joint_names)), np.float32)
    names: dict[str, int] = {}
    shown = {write.row for run in runs.values() for write in (*run.writes[:CARDS], *most_surprising(run.writes, count))}
    pictures: dict[int, bytes] = {}
    first = 0
    for part in source.parts(thumbnails=True):
        rows = slice(first, first + len(part))
        stamps[rows], seqs[rows], recorded[rows] = part.stamps_ns, part.seqs, part.recorded_actions[:, 0]
        episodes[rows] = [names.setdefault(str(name), len(names)) for name in part.episode_ids]
        pictures |= {first + row: picture for row, picture in enumerate(part.thumbnails) if first + row in shown}
        first += len(part)
        columns.rest()
    return Evaluated(about, source.info, columns, stamps, seqs, tuple(names), episodes, recorded, runs, pictures)


def most_surprising(writes: Sequence[Write], steps: int) -> list[Write]:
    """The writes whose pictures are shown over time: of `steps` steps, in each stretch the one that surprised most."""
    if len(writes) <= STRETCHES:
        return list(writes)
    best: dict[int, Write] = {}
    for write in writes:
        stretch = write.row * STRETCHES // steps
        if stretch not in best or write.surprise > best[stretch].surprise:
            best[stretch] = write
    return [best[stretch] for stretch in sorted(best)]
