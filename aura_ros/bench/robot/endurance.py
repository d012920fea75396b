# SPDX-License-Identifier: Apache-2.0
"""The record of an endurance run: many rounds of mixed tasks without a reset, with figures per hundred rounds."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from aura_ros.bench.robot.paired import PAIRS, PairedRow, compare
from aura_ros.bench.robot.records import EpisodeRecord
from aura_ros.common.errors import ConfigError
from aura_ros.common.files import plain, replace_text
from aura_ros.common.text_files import read_object

FORMAT = 1
HUNDRED = 100
"""Rounds of a block."""


@dataclass(frozen=True)
class Block:
    """A hundred rounds of one policy; the last block may have fewer."""

    first: int
    """Number of its first round."""
    rounds: int
    """Number of rounds that ended."""
    solved: int
    """Number of solved rounds."""
    writes: int | None
    """Writes of the memory of the policy; None for a policy without a memory."""
    state_bytes: int | None
    """Size of the state at the end [B]; None for a policy without a memory."""


@dataclass(frozen=True)
class PolicyRun:
    """The rounds of one policy so far."""

    policy: str
    finished: bool
    """Whether all rounds have ended."""
    wall_s: float
    """Duration [s, wall clock]."""
    steps: int
    """VLA steps."""
    missing_steps: int
    """Steps of which the memory of the policy reported nothing."""
    results: tuple[tuple[str, bool], ...]
    """Task of each round, and whether it was solved."""
    blocks: tuple[Block, ...]
    """Figures per hundred rounds."""

    def solved(self, task: str = '') -> tuple[int, int]:
        """Return solved and all rounds, of one task if there is a name."""
        won = [solved for name, solved in self.results if task in ('', name)]
        return sum(won), len(won)

    def writes(self) -> int | None:
        """Return the writes of its memory; None for a policy without a memory."""
        known = [block.writes for block in self.blocks if block.writes is not None]
        return sum(known) if known else None


def policy_run(episode: EpisodeRecord) -> PolicyRun:
    """Summarise an episode, also one that is not over."""
    outcomes = episode.outcomes
    steps = episode.gates.get(episode.policy)
    blocks, begin_s = [], 0.0
    for first in range(0, len(outcomes), HUNDRED):
        part = outcomes[first : first + HUNDRED]
        end_s = part[-1].time_s
        own = [step for step in steps or () if begin_s <= step.time_s < end_s]
        has_memory = steps is not None
        blocks.append(
            Block(
                part[0].round,
                len(part),
                sum(event.kind == 'round_success' for event in part),
                sum(step.written for step in own) if has_memory else None,
                own[-1].state_bytes if own else None,
            )
        )
        begin_s = end_s
    return PolicyRun(
        episode.policy,
        len(outcomes) >= episode.rounds,
        round(episode.wall_s, 1),
        episode.steps,
        episode.missing_steps(episode.policy) if steps is not None else 0,
        tuple((event.task, event.kind == 'round_success') for event in outcomes),
        tuple(blocks),
    )


class EnduranceFile:
    """The file of a run. It has every finished hundred at once, and a later call continues with the next policy.

    Args:
        path: the file.
        settings: what the run depends on; a file with other settings is refused.

    Raises:
        ConfigError: the file exists and has other settings, or cannot be read.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        self.path, self._settings = path, plain(settings)
        self._runs: dict[str, PolicyRun] = {}
        if not path.exists():
            return
        found = read_object(path)
        if found.get('settings') != self._settings:
            raise ConfigError(
                f'{path} is from a run with other settings or weights: choose another folder with --report-dir, or '
                'remove the file'
            )
        self._runs = {name: _loaded(value) for name, value in found['policies'].items()}

    @property
    def runs(self) -> tuple[PolicyRun, ...]:
        """The runs of all policies so far."""
        return tuple(self._runs.values())

    def finished(self, policy: str) -> bool:
        """Return whether all rounds of a policy have ended."""
        return policy in self._runs and self._runs[policy].finished

    def keep(self, episode: EpisodeRecord) -> None:
        """Write an episode so far to the file, in place of earlier results of its policy.

        Raises:
            ConfigError: the file cannot be written.
        """
        self._runs[episode.policy] = policy_run(episode)
        text = json.dumps(
            {
                'format': FORMAT,
                'settings': self._settings,
                'policies': {name: asdict(run) for name, run in self._runs.items()},
                'paired': [row.as_json() for row in paired_runs(self.runs)],
            },
            indent=1,
            allow_nan=False,
        )
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            replace_text(self.path, text + '\n')
        except OSError as error:
            raise ConfigError(
                f'{self.path} cannot be written ({error.strerror}): choose another --report-dir'
            ) from error


def paired_runs(runs: Sequence[PolicyRun]) -> list[PairedRow]:
    """Compare the policies on the rounds that both have ended: all together, then each task."""
    found = {run.policy: run for run in runs}
    rows = []
    for pair in PAIRS:
        if all(name in found for name in pair):
            first, second = (found[name].results for name in pair)
            both = [(task, (won, other)) for (task, won), (_, other) in zip(first, second, strict=False)]
            rows.append(compare('all', pair, [result for _, result in both]))
            for task in sorted({task for task, _ in both}):
                rows.append(compare(task, pair, [result for name, result in both if name == task]))
    return rows


def _loaded(value: Mapping[str, Any]) -> PolicyRun:
    results = tuple((str(task), bool(won)) for task, won in value['results'])
    blocks = tuple(Block(**block) for block in value['blocks'])
    return PolicyRun(**{**value, 'results': results, 'blocks': blocks})
