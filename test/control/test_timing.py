# SPDX-License-Identifier: Apache-2.0
"""The limits hold over the elapsed time, whenever a command is made: in bursts, after pauses, and between ticks."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import ClassVar

import numpy as np
import pytest
from cpu_wait import CpuWait
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from aura_ros.control import Chunk, ControlWatchdog, Policy, PolicySwitch, RobotConfig, SwitchConfig
from aura_ros.control.selections import MAX_WAITING, PendingSelections

PERIOD = 50_000_000
START = 10**18
VELOCITY = np.array([1.0, 9.0])
STEP = np.array([0.5, 0.2])
ROBOT = RobotConfig(('a', 'b'), (-1.0, -1.0), (1.0, 1.0), (1.0, 9.0), (0.5, 0.2), 20.0)
EPS = 1e-9

gaps = st.one_of(st.sampled_from([0, 1, 1_000_000, PERIOD, 11 * PERIOD]), st.integers(0, 12 * PERIOD))
drifts = st.sampled_from([0, 0, 0, 1_000_000, -1_000_000, 10**10, -(10**10), -PERIOD])
joints = st.one_of(
    st.none(),
    st.tuples(st.floats(-1.2, 1.2), st.floats(-1.2, 1.2)).map(np.array),
    st.sampled_from([np.array([np.nan, 0.0]), np.array([1e9, 0.0]), np.zeros(3)]),
)


class AnyTiming(RuleBasedStateMachine):
    """A switch whose ticks, chunks and faults come at any time, on a ROS clock that may jump."""

    counts: ClassVar = {'driven': 0, 'holds': 0, 'bursts': 0}

    @initialize()
    def begin(self) -> None:
        self.switch = PolicySwitch(ROBOT, SwitchConfig(policy=Policy.AURA))
        self.now_ns, self.steady_ns = START, 1
        self.seq = 0
        self.last: np.ndarray | None = None
        self.last_ns: int | None = None

    @rule(gap=gaps, drift=drifts, measured=joints, follows=st.booleans())
    def tick(self, gap: int, drift: int, measured: np.ndarray | None, follows: bool) -> None:
        self.steady_ns += gap
        self.now_ns += gap + drift
        if self.last_ns is not None and self.steady_ns - self.last_ns > 10 * PERIOD:
            self.last = None  # after a pause the robot may be anywhere
        if follows and self.last is not None:
            measured = self.last
        command = self.switch.tick(self.now_ns, measured, self.steady_ns)
        self.check(command.target, measured, command.holding)

    @rule(values=st.tuples(st.floats(-3, 3), st.floats(-3, 3)), gaps=st.lists(gaps, min_size=3, max_size=8))
    def play(self, values: tuple[float, float], gaps: list[int]) -> None:
        self.chunk(self.switch.status.pending_policy, values, 0)
        for gap in gaps:
            self.tick(min(gap, PERIOD), 0, np.zeros(2), follows=True)

    @rule(gap=gaps)
    def watchdog(self, gap: int) -> None:
        self.steady_ns += gap
        self.now_ns += gap
        target = self.switch.hold_between_ticks(self.steady_ns)
        assert (target is None) == (not self.switch._guard.commanded)
        if self.last is not None:
            self.check(target, None, True)

    @rule(policy=st.integers(0, 2), values=st.tuples(st.floats(-3, 3), st.floats(-3, 3)), age=st.integers(0, PERIOD))
    def chunk(self, policy: int, values: tuple[float, float], age: int) -> None:
        self.seq += 1
        stamp_ns = self.now_ns - age
        self.switch.accept(Chunk(policy, 'e', self.seq, stamp_ns, np.tile(values, (8, 1)), 8, 2, 0.05), self.now_ns)

    @rule(
        what=st.sampled_from(['lost', 'found', 'expire', 'end', 'begin', 'control', 'request']),
        policy=st.integers(0, 2),
    )
    def fault(self, what: str, policy: int) -> None:
        if what == 'lost':
            self.switch.peer_lost({Policy(policy)}, 'gone')
        elif what == 'found':
            self.switch.peer_found({Policy(policy)})
        elif what == 'expire':
            self.switch.expire('asked')
        elif what == 'end':
            self.switch.end('asked')
        elif what == 'begin':
            self.switch.begin('e')
        elif what == 'request':
            self.switch.request(policy, self.now_ns)
        else:
            self.switch.control_changed()
            self.last = None

    def check(self, target: np.ndarray | None, measured: np.ndarray | None, holding: bool) -> None:
        if target is None:
            assert self.last is None and holding
            return
        assert np.isfinite(target).all() and (np.abs(target) <= 1.0).all()
        elapsed_ns = PERIOD if self.last_ns is None else min(self.steady_ns - self.last_ns, PERIOD)
        reference = measured if self.last is None else self.last
        assert reference is not None
        allowed = np.minimum(STEP, VELOCITY * elapsed_ns * 1e-9)
        assert (np.abs(target - reference) <= allowed + EPS).all(), f'{target - reference} in {elapsed_ns} ns'
        self.counts['holds' if holding else 'driven'] += 1
        self.counts['bursts'] += elapsed_ns <= 1_000_000
        self.last, self.last_ns = target.copy(), self.steady_ns


@pytest.mark.fault('F22')
def test_no_command_exceeds_a_limit_at_any_timing(measured: Callable[[str], None]) -> None:
    AnyTiming.counts = dict.fromkeys(AnyTiming.counts, 0)
    run_state_machine_as_test(AnyTiming, settings=settings(max_examples=200, stateful_step_count=50, deadline=None))
    counts = AnyTiming.counts
    assert min(counts.values()) > 100
    measured(
        f'any timing: {counts["driven"]} driven and {counts["holds"]} held commands, {counts["bursts"]} of them within '
        '1 ms of the one before: none outside a limit'
    )


@pytest.mark.fault('F22')
def test_holds_in_a_burst_do_not_add_up(measured: Callable[[str], None]) -> None:
    """Liveliness events of several topics each make a hold at once."""
    switch, now_ns = PolicySwitch(ROBOT, SwitchConfig(policy=Policy.AURA)), START
    for seq in range(6):
        now_ns += PERIOD
        switch.accept(Chunk(1, 'e', seq, now_ns, np.ones(16), 8, 2, 0.05), now_ns)
        driven = switch.tick(now_ns, np.zeros(2)).target
    assert driven is not None
    last = driven
    for _ in range(6):
        now_ns += 1_000_000
        switch.peer_lost({Policy.AURA}, 'gone')
        held = switch.tick(now_ns, np.zeros(2)).target
        assert held is not None and (np.abs(held - last) <= VELOCITY * 1e-3 + EPS).all()
        last = held
    assert not np.array_equal(last, driven)
    measured(f'6 holds within 6 ms: {abs(last[0] - driven[0]) * 1e3:.0f} mrad of 6 mrad allowed')


@pytest.mark.fault('F21')
def test_a_busy_thread_does_not_delay_the_watchdog(measured: Callable[[str], None]) -> None:
    acted: list[int] = []
    watchdog = ControlWatchdog(PERIOD, lambda: acted.append(time.monotonic_ns()))
    wait = CpuWait(threads=(threading.get_native_id(), watchdog.thread_id))
    try:
        for _ in range(4):
            watchdog.beat()
            time.sleep(0.02)
        early = len(acted)
        watchdog.beat()
        since_ns, before_s = time.monotonic_ns(), wait.seconds
        waited_ns = 0
        while time.monotonic_ns() - since_ns < 10 * PERIOD:
            sum(range(1000))  # the executor in a long loop
            if len(acted) > early and not waited_ns:
                waited_ns = round((wait.seconds - before_s) * 1e9)
    finally:
        watchdog.stop()
    delay_ns = acted[early] - since_ns
    assert delay_ns - waited_ns <= 2 * PERIOD
    assert 3 <= len(acted) - early <= 10
    count = len(acted)
    time.sleep(2.5 * PERIOD * 1e-9)
    assert len(acted) == count, 'acted after stop'
    measured(
        f'thread busy for 10 periods: the watchdog acted after {delay_ns / PERIOD:.2f} periods; '
        f'both threads waited {waited_ns / PERIOD:.2f} periods for a processor'
    )


@pytest.mark.fault('F21')
def test_waiting_selections_are_limited(measured: Callable[[str], None]) -> None:
    selections, answers = PendingSelections(), 0
    while not selections.full:
        selections.wait(Policy.KV, 5.0, lambda _: None)
        answers += 1
    assert answers == MAX_WAITING
    selections.cancel('asked')
    assert not selections.full
    measured(f'flood of select_policy: {answers} requests wait at most')
