# SPDX-License-Identifier: Apache-2.0
"""The result of a replay: the recording, its steps, and what each policy did on them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import NDArray

from aura_ros.replay.disk_arrays import DiskArrays
from aura_ros.replay.evaluate import PolicyRun, Write
from aura_ros.replay.steps.arrays import StepsInfo, StepSource

CARDS = 96
"""Writes of a policy that the page describes one by one. The others are in report.json."""
FRAMES_BYTES = 6_000_000
"""Most bytes of the pictures in one page, before base64. Beyond that only the writes have pictures."""
STRETCHES = 9
"""Pictures above the timeline of a policy: number of equal parts of the recording; each part shows one write."""


@dataclass(frozen=True)
class About:
    """What is known of a recording besides its steps."""

    name: str
    """Name of its file or folder."""
    path: str = ''
    """Absolute path."""
    digest: str = ''
    """SHA-256 of its content, hex."""
    mapping: str = ''
    """Which topic is what, as YAML."""
    partial: str = ''
    """What is missing of the recording; empty if it is complete."""
    inputs: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """How each stream was used: stream name, then the name of a figure, then its value."""
    notes: tuple[str, ...] = ()
    """What else a reader of the report should know, in sentences."""
    live: str = ''
    """How many write events of the live run are reproduced, in a sentence; empty if none were recorded."""
    drivers: Mapping[str, float] = field(default_factory=dict)
    """Share of the steps that each policy drove during the recording [1]; empty if that was not recorded."""


@dataclass(frozen=True, eq=False)
class StepTable:
    """What the report shows of N steps, besides the policies."""

    info: StepsInfo
    """What all steps have in common."""
    arrays: DiskArrays
    """Owner of the arrays. Call `release` after reading many of their rows."""
    stamps_ns: NDArray[np.int64]
    """Stamps of the observations [ns], int64 [N]."""
    seqs: NDArray[np.int64]
    """Numbers of the steps in their episodes, int64 [N]."""
    episode_names: tuple[str, ...]
    """Episodes in the order in which they begin."""
    episodes: NDArray[np.int32]
    """Index into `episode_names` for each step, int32 [N]."""
    recorded: NDArray[np.float32]
    """First recorded joint target at each step [rad, m], float32 [N, A]; NaN if none was recorded."""
    thumbnails: dict[int, bytes]
    """JPEG of the first camera by row: of all steps if they fit, else of the writes that the page shows."""

    @classmethod
    def collect(
        cls, source: StepSource, runs: Mapping[str, PolicyRun], arrays: DiskArrays, frames_bytes: int = FRAMES_BYTES
    ) -> Self:
        """Read the table from the steps.

        Args:
            source: steps of a recording.
            runs: results of the policies on them.
            arrays: owner of the arrays of the table.
            frames_bytes: most bytes of pictures; if those of all steps are larger, only the writes that the page shows
                have one.

        Raises:
            ConfigError: the disk has no space for the arrays.
        """
        count, info = len(source), source.info
        stamps, seqs = arrays.new((count,), np.int64), arrays.new((count,), np.int64)
        episodes = arrays.new((count,), np.int32)
        recorded = arrays.new((count, len(info.joint_names)), np.float32)
        names: dict[str, int] = {}
        writes = [write for run in runs.values() for write in (*run.writes[:CARDS], *highlights(run.writes, count))]
        shown, first = {write.row for write in writes}, 0
        pictures: dict[int, bytes] = {}
        others: dict[int, bytes] = {}
        left = frames_bytes
        for part in source.parts(thumbnails=True):
            rows = slice(first, first + len(part))
            stamps[rows], seqs[rows], recorded[rows] = part.stamps_ns, part.seqs, part.recorded_actions[:, 0]
            episodes[rows] = [names.setdefault(str(name), len(names)) for name in part.episode_ids]
            for row, picture in enumerate(part.thumbnails, first):
                if picture:
                    (pictures if row in shown else others)[row] = picture
                    left -= len(picture)
            if left < 0:
                others.clear()
            first += len(part)
            arrays.release()
        return cls(info, arrays, stamps, seqs, tuple(names), episodes, recorded, pictures | others)

    def __len__(self) -> int:
        return len(self.stamps_ns)

    @property
    def times_s(self) -> NDArray[np.float64]:
        """Time since the first step [s], float64 [N]."""
        return np.asarray((self.stamps_ns - self.stamps_ns[0]) * 1e-9)

    @property
    def segments(self) -> NDArray[np.int64]:
        """A number for each step that increases whenever the episode changes, int64 [N]."""
        return np.cumsum(np.append(False, self.episodes[1:] != self.episodes[:-1]), dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Evaluated:
    """A recording on which all policies have run."""

    about: About
    steps: StepTable
    runs: dict[str, PolicyRun]
    """Results by policy, in the order of the report."""


def highlights(writes: Sequence[Write], steps: int) -> list[Write]:
    """Return the writes to show above the timeline: the most surprising write of each of `STRETCHES` equal parts."""
    if len(writes) <= STRETCHES:
        return list(writes)
    best: dict[int, Write] = {}
    for write in writes:
        stretch = write.row * STRETCHES // steps
        if stretch not in best or write.surprise > best[stretch].surprise:
            best[stretch] = write
    return [best[stretch] for stretch in sorted(best)]
