# SPDX-License-Identifier: Apache-2.0
"""Differences between policies on the same rounds."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from aura_ros.bench.robot.records import EpisodeRecord
from aura_ros.common.stats import mcnemar

PAIRS = (('aura', 'base'), ('aura', 'kv'))
"""Pairs of policies that are compared."""


@dataclass(frozen=True)
class PairedRow:
    """Two policies on the rounds that both have ended."""

    task: str
    policy: str
    other: str
    both: int
    """Rounds that both solved."""
    only_policy: int
    """Rounds that only `policy` solved."""
    only_other: int
    """Rounds that only `other` solved."""
    neither: int
    """Rounds that neither solved."""

    @property
    def rounds(self) -> int:
        """Number of rounds."""
        return self.both + self.only_policy + self.only_other + self.neither

    @property
    def difference(self) -> float:
        """Success of `policy` minus success of `other`; 0 without rounds."""
        return (self.only_policy - self.only_other) / self.rounds if self.rounds else 0.0

    @property
    def p_value(self) -> float:
        """Two-sided p-value of McNemar's exact test: as large a difference by chance, if the two are equally good."""
        return mcnemar(self.only_policy, self.only_other)

    def as_json(self) -> dict[str, Any]:
        """Return counts and figures as JSON types."""
        return asdict(self) | {'rounds': self.rounds, 'difference': self.difference, 'p_value': self.p_value}


def paired_rows(episodes: Sequence[EpisodeRecord]) -> list[PairedRow]:
    """Return the comparison of every pair of PAIRS that has run, for each task in the order of the episodes.

    Two episodes have the same rounds if task, split and seed are equal.
    """
    found = {(episode.task, episode.split, episode.seed, episode.policy): episode for episode in episodes}
    keys = dict.fromkeys((episode.task, episode.split, episode.seed) for episode in episodes)
    return [
        _compare(found[*key, policy], found[*key, other])
        for key in keys
        for policy, other in PAIRS
        if (*key, policy) in found and (*key, other) in found
    ]


def _compare(first: EpisodeRecord, second: EpisodeRecord) -> PairedRow:
    won, other = first.solved, second.solved
    return compare(first.task, (first.policy, second.policy), [(won[n], other[n]) for n in won.keys() & other.keys()])


def compare(task: str, policies: tuple[str, str], results: Sequence[tuple[bool, bool]]) -> PairedRow:
    """Count the rounds of two policies; `results` says for each round whether each of them solved it."""
    counts = [results.count(each) for each in ((True, True), (True, False), (False, True), (False, False))]
    return PairedRow(task, *policies, *counts)
