# SPDX-License-Identifier: Apache-2.0
"""Run policies on the same steps: when each memory writes, the size of its state, and its action error.

The nodes apply their steps with the same session (`memory/session.py`): once and in order. Each episode begins with an
empty memory, and a refused step changes nothing. The writes therefore equal those of the live graph bit for bit. The
fields of a `Write` are those of msg/WriteEvent.msg, in float32.

The *action error* of a step is |action - recorded action| per joint [rad, m], the mean over the actions of the chunk
that are executed before the next chunk replaces it. Every policy gets the recorded observations, whatever it would have
done itself. The error therefore shows which policy follows the recording, not which one would solve the task.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from numpy.typing import NDArray

from aura_ros.memory import Decision, MemorySession, Step, StepRefused, state_crc
from aura_ros.replay.disk_arrays import DiskArrays
from aura_ros.replay.policies import Budget, PolicyOptions, ReplayedPolicy, make_policy, needs_budget
from aura_ros.replay.steps.arrays import Floats, Steps, StepSource

PROBLEMS_KEPT = 8
"""Refused steps whose reason is kept. The others are only counted."""


@dataclass(frozen=True)
class Write:
    """A write, with the fields of WriteEvent.msg that do not depend on the storage device."""

    row: int
    """Index of the step in the recording."""
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


@dataclass(eq=False)
class PolicyRun:
    """What a policy did on N steps with A joints; `run_policy` fills it.

    The values of a step that was not applied are NaN, or False.
    """

    policy: ReplayedPolicy
    gate: Floats
    """Gate scores, as in GateSample.msg, float32 [N]."""
    threshold: Floats
    """Thresholds of the gate, float32 [N]."""
    surprise: Floats
    """Inner prediction errors, float32 [N]."""
    written: NDArray[np.bool_]
    """Whether the step wrote, bool [N]."""
    state_bytes: NDArray[np.int64]
    """Size of the state after the step [B], int64 [N]."""
    step_us: Floats
    """Time of the memory step [us], float32 [N]."""
    actions: Floats
    """First joint target of each chunk [rad, m], float32 [N, A]."""
    errors: Floats
    """Action errors [rad, m], float32 [N, A]; NaN if no action was recorded."""
    writes: list[Write] = field(default_factory=list)
    """Writes of a policy with a learned gate. For the other policies see `written`."""
    applied: int = 0
    """Steps that were applied."""
    missed: int = 0
    """Steps that are missing in the recording, by their numbers."""
    refused: int = 0
    """Steps that were refused."""
    problems: list[str] = field(default_factory=list)
    """Reasons for the first refused steps."""
    device_bytes: int = 0
    """See `ReplayedPolicy.device_bytes` [B]."""
    state_crc32: int = 0
    """CRC-32 of the state at the end."""
    seconds: float = 0.0
    """Time of the whole run [s]."""


def run_policy(
    policy: ReplayedPolicy, source: StepSource, arrays: DiskArrays, advance: Callable[[int], None] = lambda _: None
) -> PolicyRun:
    """Run a policy on all steps.

    Args:
        policy: a new policy, with an empty memory.
        source: steps of a recording.
        arrays: owner of the arrays of the result.
        advance: called with the number of steps that were just done.

    Raises:
        ConfigError: the disk is full.
    """
    began, session, row = time.perf_counter(), MemorySession(policy.memory), 0
    run = _empty_run(policy, arrays, len(source), len(source.info.joint_names))
    for part in source.parts():
        for index in range(len(part)):
            _run_step(run, session, part, index, row)
            row += 1
        arrays.release()
        advance(len(part))
    run.missed = session.order.missed
    run.device_bytes = policy.device_bytes(int(run.written.sum()), run.applied)
    run.state_crc32 = state_crc(policy.memory)
    run.seconds = time.perf_counter() - began
    return run


def _empty_run(policy: ReplayedPolicy, arrays: DiskArrays, steps: int, joints: int) -> PolicyRun:
    floats = partial(arrays.new, dtype=np.float32, fill=np.nan)
    return PolicyRun(
        policy,
        gate=floats((steps,)),
        threshold=floats((steps,)),
        surprise=floats((steps,)),
        step_us=floats((steps,)),
        written=arrays.new((steps,), np.bool_),
        state_bytes=arrays.new((steps,), np.int64),
        actions=floats((steps, joints)),
        errors=floats((steps, joints)),
    )


def _run_step(run: PolicyRun, session: MemorySession, part: Steps, index: int, row: int) -> None:
    """Apply step `index` of a part and store its results in row `row`."""
    step = Step(
        str(part.episode_ids[index]),
        int(part.seqs[index]),
        int(part.stamps_ns[index]),
        part.features[index],
        part.base_actions[index],
        part.info.seconds_per_action,
        backbone_hash=part.info.backbone_hash,
        components=part.info.components,
    )
    try:
        applied = session.apply(step)
    except StepRefused as refusal:
        run.refused += 1
        if len(run.problems) < PROBLEMS_KEPT:
            run.problems.append(str(refusal))
    else:
        decision = applied.decision
        run.applied += 1
        run.step_us[row] = applied.step_us
        run.gate[row], run.threshold[row], run.surprise[row] = decision.gate, decision.threshold, decision.surprise
        run.written[row], run.actions[row] = decision.written, decision.action[0]
        recorded, executed = part.recorded_actions[index], part.info.n_action_steps
        run.errors[row] = np.abs(decision.action[:executed] - recorded[:executed]).mean(axis=0)
        if decision.written and run.policy.gated:
            run.writes.append(_write(run, step, decision, row))
    run.state_bytes[row] = run.policy.memory.state_bytes


def _write(run: PolicyRun, step: Step, decision: Decision, row: int) -> Write:
    memory = run.policy.memory
    return Write(
        row=row,
        stamp_ns=step.stamp_ns,
        episode_id=step.episode_id,
        seq=step.seq,
        gate=float(run.gate[row]),
        threshold=float(run.threshold[row]),
        surprise=float(run.surprise[row]),
        action_change=float(np.float32(decision.action_change)),
        delta_norm=float(np.float32(decision.delta_norm)),
        writes=memory.writes,
        bytes_written=memory.writes * memory.state_bytes,
        state_crc32=state_crc(memory),
    )


def run_policies(
    names: Sequence[str],
    options: PolicyOptions,
    source: StepSource,
    arrays: DiskArrays,
    progress: Callable[[str, int], None] = lambda *_: None,
) -> dict[str, PolicyRun]:
    """Run several policies on the same steps.

    Args:
        names: policies, see `choose`; the result has the same order.
        options: what the policies are made with.
        source: steps of a recording.
        arrays: owner of the arrays of the results.
        progress: called with the policy and the number of steps that were just done.

    Raises:
        ConfigError: a policy cannot be made, or the disk is full.
    """
    runs: dict[str, PolicyRun] = {}
    budget: Budget | None = None
    first = ['aura'] if any(map(needs_budget, names)) else []
    for name in dict.fromkeys([*first, *names]):
        runs[name] = run_policy(make_policy(name, options, budget), source, arrays, partial(progress, name))
        if name == 'aura':
            budget = Budget(int(runs[name].written.sum()), runs[name].applied)
    return {name: runs[name] for name in names}
