# SPDX-License-Identifier: Apache-2.0
"""Every memory on the same steps: when it wrote, what it carried, how far it was from what was recorded.

Steps are applied by the session that the nodes use (`memory/session.py`): once and in order. Each episode begins with
an empty memory, and a refused step leaves no trace. So the writes are those of the live graph, bit for bit.
The fields of a `Write` are those of msg/WriteEvent.msg, with its float32.

The *action error* of a step is |action - recorded action|, the mean over the actions of the chunk that are executed
before the next chunk replaces it, per joint [rad, m]. Steps run with recorded observations, whatever a policy would
have done: it is a question of who follows the recording, not of who would solve the task.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from aura_ros.memory import Decision, MemorySession, Step, StepRefused, state_crc
from aura_ros.replay.columns import Columns
from aura_ros.replay.policies import Budget, PolicyOptions, ReplayedPolicy, make_policy, needs_budget
from aura_ros.replay.steps.arrays import Steps, StepSource

Floats = NDArray[np.float32]
PROBLEMS_KEPT = 8
"""Refused steps of which the text is kept; the others are counted."""


@dataclass(frozen=True)
class Write:
    """A write, with the fields of WriteEvent that do not depend on a medium.

    row: of the step, among all steps of the recording.
    """

    row: int
    stamp_ns: int
    episode_id: str
    seq: int
    gate: float
    threshold: float
    surprise: float
    action_change: float
    delta_norm: float
    writes: int
    bytes_written: int
    state_crc32: int


@dataclass(frozen=True, eq=False)
class PolicyRun:
    """What a policy did on N steps with A joints; rows of steps that were not applied are NaN, or False.

    gate, threshold, surprise: float32 [N], as in GateSample.
    written: bool [N].
    state_bytes: int64 [N], after the step [B].
    step_us: float32 [N], time of the memory step [us].
    actions: float32 [N, A], the first joint target of each chunk [rad, m].
    errors: float32 [N, A], see the module's docstring; NaN where nothing was recorded.
    writes: in order, of a policy with a learned gate; that of others is in `written`.
    applied: steps that were.
    missed: numbers of steps that were skipped: missing in the recording, or refused.
    refused: steps that were not applied.
    problems: why, for the first of them.
    device_bytes: see `ReplayedPolicy.device_bytes` [B].
    state_crc32: of the state at the end.
    seconds: for all of it [s].
    """

    policy: ReplayedPolicy
    gate: Floats
    threshold: Floats
    surprise: Floats
    written: NDArray[np.bool_]
    state_bytes: NDArray[np.int64]
    step_us: Floats
    actions: Floats
    errors: Floats
    writes: tuple[Write, ...]
    applied: int
    missed: int
    refused: int
    problems: tuple[str, ...]
    device_bytes: int
    state_crc32: int
    seconds: float


def run_policy(
    policy: ReplayedPolicy, source: StepSource, columns: Columns, advance: Callable[[int], None] = lambda _: None
) -> PolicyRun:
    """Run a memory on all steps, from empty.

    Args:
        policy: freshly made.
        source: the steps.
        columns: where the figures of the steps go.
        advance: called with the number of steps that were just done.

    Raises:
        ConfigError: there is no room for the figures.

    """
    began = time.perf_counter()
    runner = _Runner(policy, columns, len(source), len(source.info.joint_names))
    for part in source.parts():
        runner.run(part)
        columns.rest()
        advance(len(part))
    return runner.result(time.perf_counter() - began)


@dataclass
class _Runner:
    """Fills the columns of a `PolicyRun`."""

    policy: ReplayedPolicy
    columns: Columns
    steps: int
    joints: int

    def __post_init__(self) -> None:
        self.session = MemorySession(self.policy.memory)

        def column(*more: int) -> Floats:
            return self.columns.new((self.steps, *more), np.float32, np.nan)

        self.gate, self.threshold, self.surprise, self.step_us = column(), column(), column(), column()
        self.actions, self.errors = column(self.joints), column(self.joints)
        self.written = self.columns.new((self.steps,), np.bool_)
        self.state_bytes = self.columns.new((self.steps,), np.int64)
        self.writes: list[Write] = []
        self.row = self.refused = self.applied = 0
        self.problems: list[str] = []

    def run(self, part: Steps) -> None:
        """Apply the steps of a part."""
        horizon, recorded = part.info.n_action_steps, part.has_recorded_actions
        memory = self.policy.memory
        for index in range(len(part)):
            decision = self._apply(part, index)
            if decision is not None:
                self._note(decision, part, index)
                if recorded[index]:
                    distance = np.abs(decision.action[:horizon] - part.recorded_actions[index, :horizon])
                    self.errors[self.row] = distance.mean(axis=0)
            self.state_bytes[self.row] = memory.state_bytes
            self.row += 1

    def _apply(self, part: Steps, index: int) -> Decision | None:
        step = Step(
            str(part.episode_ids[index]),
            int(part.seqs[index]),
            int(part.stamps_ns[index]),
            part.features[index],
            part.base_actions[index],
            part.info.seconds_per_action,
            backbone_hash=part.info.backbone_hash,
        )
        try:
            applied = self.session.apply(step)
        except StepRefused as refusal:
            self._refuse(str(refusal))
            return None
        self.step_us[self.row] = applied.step_us
        self.applied += 1
        return applied.decision

    def _note(self, decision: Decision, part: Steps, index: int) -> None:
        row, memory = self.row, self.policy.memory
        self.gate[row], self.threshold[row] = decision.gate, decision.threshold
        self.surprise[row], self.written[row] = decision.surprise, decision.written
        self.actions[row] = decision.action[0]
        if decision.written and self.policy.gated:
            self.writes.append(
                Write(
                    row,
                    int(part.stamps_ns[index]),
                    str(part.episode_ids[index]),
                    int(part.seqs[index]),
                    float(self.gate[row]),
                    float(self.threshold[row]),
                    float(self.surprise[row]),
                    float(np.float32(decision.action_change)),
                    float(np.float32(decision.delta_norm)),
                    memory.writes,
                    memory.writes * memory.state_bytes,
                    state_crc(memory),
                )
            )

    def _refuse(self, text: str) -> None:
        self.refused += 1
        if len(self.problems) < PROBLEMS_KEPT:
            self.problems.append(text)

    def result(self, seconds: float) -> PolicyRun:
        """What has been done."""
        total = int(self.written.sum())
        return PolicyRun(
            self.policy,
            self.gate,
            self.threshold,
            self.surprise,
            self.written,
            self.state_bytes,
            self.step_us,
            self.actions,
            self.errors,
            tuple(self.writes),
            self.applied,
            self.session.order.missed,
            self.refused,
            tuple(self.problems),
            self.policy.device_bytes(total, self.applied),
            state_crc(self.policy.memory),
            seconds,
        )


def run_policies(
    names: Sequence[str],
    options: PolicyOptions,
    source: StepSource,
    columns: Columns,
    progress: Callable[[str, int], None] = lambda *_: None,
) -> dict[str, PolicyRun]:
    """Run several memories on the same steps.

    Args:
        names: of `choose`; the result has their order.
        options: what the policies are made with.
        source: the steps.
        columns: where the figures of the steps go.
        progress: called with the policy and the number of steps that were just done.

    Raises:
        ConfigError: a policy cannot be made, or there is no room for the figures.

    """
    runs: dict[str, PolicyRun] = {}
    budget: Budget | None = None
    first = ['aura'] if any(map(needs_budget, names)) else []
    for name in dict.fromkeys([*first, *names]):
        runs[name] = run_policy(make_policy(name, options, budget), source, columns, partial(progress, name))
        if name == 'aura':
            budget = Budget(int(runs[name].written.sum()), runs[name].applied)
    return {name: runs[name] for name in names}
