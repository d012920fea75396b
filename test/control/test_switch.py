# SPDX-License-Identifier: Apache-2.0
"""Who drives, from which tick, and when the robot is held."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aura_ros.common.action_spec import ActionComponent
from aura_ros.common.errors import ConfigError
from aura_ros.control import Chunk, Command, Policy, PolicySwitch, RobotConfig, SwitchConfig
from aura_ros.control.spacing import StepSpacing

Make = Callable[..., Chunk]
Values = Callable[..., dict[str, object]]
TICK = 50_000_000
START = 1_700_000_000_000_000_000
ZERO = np.zeros(3)


def feed(switch: PolicySwitch, make_chunk: Make, seq: int, values: dict[int, float]) -> None:
    for policy, value in values.items():
        chunk = make_chunk(policy, seq, value)
        assert switch.accept(chunk, chunk.stamp_ns).accepted


def tick(switch: PolicySwitch, k: int, joints: np.ndarray | None = ZERO) -> Command:
    return switch.tick(START + k * TICK, joints)


def test_plays_the_action_that_applies_now(robot: RobotConfig, make_chunk: Make) -> None:
    switch = PolicySwitch(robot)
    actions = np.repeat(np.arange(8) * 0.01, 3)
    chunk = make_chunk(0, 0, actions=actions)
    assert switch.accept(chunk, START + 2 * TICK).accepted  # two ticks of thinking
    command = tick(switch, 2)
    assert (command.seq, command.index, command.holding) == (0, 2, False)
    assert command.target is not None and command.target.tolist() == pytest.approx([0.02] * 3)
    # A tick a moment early or late does not change whose turn it is by more than one.
    assert switch.tick(START + 3 * TICK + 1_000_000, ZERO).index == 3
    assert switch.tick(START + 4 * TICK - 500, ZERO).index == 4


def test_holds_after_two_grace_ticks(robot: RobotConfig, make_chunk: Make) -> None:
    switch = PolicySwitch(robot)
    feed(switch, make_chunk, 0, {0: 0.05})
    for k in range(6):
        assert not tick(switch, k).holding
    assert switch.due(START + 4 * TICK) and not switch.due(START + 3 * TICK)
    held = tick(switch, 6, np.array([0.01, 0.02, 0.03]))
    assert held.holding and 'no chunk of base after step 0' in held.reason
    assert held.target is not None and held.target.tolist() == [0.01, 0.02, 0.03]
    # Latched: a sagging policy is not followed.
    again = tick(switch, 7, np.array([0.0, 0.0, -0.5]))
    assert again.target is not None and again.target.tolist() == [0.01, 0.02, 0.03]
    assert switch.status.holds == 1
    feed(switch, make_chunk, 2, {0: 0.9})
    onward = tick(switch, 8)
    assert not onward.holding and onward.clipped and onward.target is not None
    # The step limit counts from the last command, which was the hold.
    assert onward.target.tolist() == pytest.approx([0.11, 0.12, 0.13])


def test_a_short_chunk_is_never_overrun(robot: RobotConfig, make_chunk: Make) -> None:
    switch = PolicySwitch(robot)
    chunk = make_chunk(0, 0, actions=np.zeros(9), chunk_size=3)
    assert switch.accept(chunk, START).accepted
    assert [tick(switch, k).holding for k in range(5)] == [False] * 3 + [True] * 2


def test_no_chunk_holds_and_no_joints_sends_nothing(robot: RobotConfig) -> None:
    switch = PolicySwitch(robot)
    assert tick(switch, 0, None).target is None
    assert tick(switch, 1, np.full(3, np.nan)).target is None
    held = tick(switch, 2, np.array([0.1, 0.2, 0.3]))
    assert held.target is not None and held.target.tolist() == [0.1, 0.2, 0.3]
    assert held.holding and held.reason == 'no chunk yet' and not switch.due(START)


def test_missing_joints_hold_the_last_command(robot: RobotConfig, make_chunk: Make) -> None:
    switch = PolicySwitch(robot)
    feed(switch, make_chunk, 0, {0: 0.05})
    tick(switch, 0)
    held = tick(switch, 1, None)
    assert held.holding and 'joint positions' in held.reason
    assert held.target is not None and held.target.tolist() == pytest.approx([0.05] * 3)
    assert not tick(switch, 2).holding


def test_before_the_episode_a_switch_is_in_effect_at_once(robot: RobotConfig, make_chunk: Make) -> None:
    switch = PolicySwitch(robot)
    selection = switch.request(Policy.KV, START)
    assert selection.success and selection.effective and selection.policy is Policy.KV
    feed(switch, make_chunk, 0, {0: 0.01, 1: 0.02, 2: 0.03})
    command = tick(switch, 0)
    assert command.policy is Policy.KV and command.target is not None
    assert command.target.tolist() == pytest.approx([0.03] * 3)


def test_switches_at_the_boundary_and_never_back(robot: RobotConfig, make_chunk: Make) -> None:
    switch = PolicySwitch(robot)
    feed(switch, make_chunk, 0, {0: 0.01, 1: 0.02})
    tick(switch, 0)
    selection = switch.request(Policy.AURA, START + TICK)
    assert selection.success and not selection.effective
    for k in range(1, 4):
        assert tick(switch, k).policy is Policy.BASE
    # The old policy's next chunk is there first; it is not begun.
    feed(switch, make_chunk, 1, {0: 0.05})
    assert switch.due(START + 4 * TICK)
    feed(switch, make_chunk, 1, {1: 0.06})
    assert not switch.due(START + 4 * TICK)
    command = tick(switch, 4)
    assert command.switched and command.policy is Policy.AURA
    assert (command.seq, switch.status.effective_seq) == (1, 1)
    assert switch.status.pending_policy is Policy.AURA


def test_the_next_chunk_is_due_when_all_actions_of_a_chunk_are_used(robot: RobotConfig, make_chunk: Make) -> None:
    switch = PolicySwitch(robot, SwitchConfig(n_action_steps=8))
    feed(switch, make_chunk, 0, {0: 0.01})
    for k in range(8):
        assert not switch.due(START + k * TICK)
        assert not tick(switch, k).holding
    assert switch.due(START + 8 * TICK)
    # A policy that is selected meanwhile begins with its next chunk, without a hold between.
    assert not switch.request(Policy.AURA, START + 8 * TICK).effective
    feed(switch, make_chunk, 2, {0: 0.02})
    assert switch.due(START + 8 * TICK)
    feed(switch, make_chunk, 2, {1: 0.03})
    assert not switch.due(START + 8 * TICK)
    command = tick(switch, 8)
    assert (command.policy, command.seq, command.holding) == (Policy.AURA, 2, False)


def test_a_switch_to_a_silent_policy_ends_in_hold_not_in_the_old_policy(robot: RobotConfig, make_chunk: Make) -> None:
    switch = PolicySwitch(robot)
    feed(switch, make_chunk, 0, {0: 0.01})
    tick(switch, 0)
    switch.request(Policy.AURA, START)
    feed(switch, make_chunk, 1, {0: 0.05})
    command = tick(switch, 6)
    assert command.holding and command.policy is Policy.AURA and 'aura' in command.reason
    feed(switch, make_chunk, 2, {0: 0.05})
    assert tick(switch, 8).holding


def test_a_request_can_be_taken_back(robot: RobotConfig, make_chunk: Make) -> None:
    switch = PolicySwitch(robot)
    feed(switch, make_chunk, 0, {0: 0.01, 1: 0.02})
    tick(switch, 0)
    switch.request(Policy.AURA, START)
    assert switch.request(Policy.BASE, START).effective
    feed(switch, make_chunk, 1, {0: 0.01, 1: 0.02})
    assert tick(switch, 4).policy is Policy.BASE
    assert not switch.request(7, START).success


def test_a_lost_peer_holds_at_once_and_returns_with_its_first_chunk(robot: RobotConfig, make_chunk: Make) -> None:
    switch = PolicySwitch(robot, SwitchConfig(policy=Policy.AURA))
    feed(switch, make_chunk, 0, {0: 0.01, 1: 0.02})
    tick(switch, 0)
    switch.peer_lost([Policy.AURA], 'memory_node is gone')
    held = tick(switch, 1)
    assert held.holding and held.reason == 'memory_node is gone'
    refused = switch.request(Policy.AURA, START)
    assert not refused.success and 'memory_node is gone' in refused.reason
    assert switch.request(Policy.BASE, START).effective
    assert not tick(switch, 2).holding
    feed(switch, make_chunk, 1, {1: 0.02})
    assert switch.request(Policy.AURA, START + 4 * TICK).success
    assert switch.status.lost == {}


def test_a_pending_policy_that_is_lost_leaves_the_old_one_driving(robot: RobotConfig, make_chunk: Make) -> None:
    switch = PolicySwitch(robot)
    feed(switch, make_chunk, 0, {0: 0.01, 1: 0.02})
    tick(switch, 0)
    switch.request(Policy.AURA, START)
    switch.peer_lost([Policy.AURA], 'gone')
    assert switch.status.pending_policy is Policy.BASE
    switch.peer_found([Policy.AURA])
    assert switch.request(Policy.AURA, START).success


def test_a_wait_that_expired_holds_and_lets_the_pending_policy_drive(robot: RobotConfig, make_chunk: Make) -> None:
    switch = PolicySwitch(robot)
    feed(switch, make_chunk, 0, {0: 0.01})
    tick(switch, 0)
    switch.request(Policy.KV, START + 4 * TICK)
    assert switch.due(START + 4 * TICK)
    switch.expire('no chunk within 5 s')
    assert not switch.due(START + 4 * TICK)
    held = tick(switch, 4)
    assert held.holding and held.reason == 'no chunk within 5 s' and held.policy is Policy.KV


def test_a_clock_that_moved_back_holds(robot: RobotConfig, make_chunk: Make) -> None:
    switch = PolicySwitch(robot)
    feed(switch, make_chunk, 0, {0: 0.01})
    assert not tick(switch, 0).holding
    assert tick(switch, -20).holding
    assert tick(switch, 1).holding  # and does not come back by itself


def test_enabling_control_starts_from_where_the_robot_is(robot: RobotConfig, make_chunk: Make) -> None:
    switch = PolicySwitch(robot)
    feed(switch, make_chunk, 0, {0: 0.9})
    for k in range(4):
        tick(switch, k)
    switch.control_changed()
    command = tick(switch, 4, np.full(3, -0.5))
    assert command.target is not None and command.target.tolist() == pytest.approx([-0.4] * 3)


def test_twist_holds_with_zero(robot_values: Values, make_chunk: Make) -> None:
    axes = ['linear_x', 'linear_y', 'linear_z', 'angular_x', 'angular_y', 'angular_z']
    values = robot_values(6, command_type='twist_stamped', joint_names=axes)
    switch = PolicySwitch(RobotConfig.from_mapping(values))
    chunk = make_chunk(0, 0, actions=np.full(48, 0.05), action_dim=6)
    assert switch.accept(chunk, START).accepted
    first = tick(switch, 0, np.full(6, 0.7))
    assert first.target is not None and first.target.tolist() == pytest.approx([0.05] * 6)
    held = tick(switch, 6, np.full(6, 0.7))
    assert held.target is not None and not held.target.any()


@pytest.mark.parametrize('name', ['n_action_steps', 'grace_ticks', 'max_age_ns', 'future_tolerance_ns'])
def test_bad_configuration_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=name):
        SwitchConfig(**{name: -1})


ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just('tick'), st.integers(0, 3)),
        st.tuples(st.just('chunk'), st.integers(0, 2)),
        st.tuples(st.just('request'), st.integers(0, 2)),
        st.tuples(st.just('lost'), st.integers(0, 2)),
        st.tuples(st.just('expire'), st.just(0)),
    ),
    max_size=80,
)


@pytest.mark.parametrize('mode', ['absolute', 'delta', 'velocity'])
@settings(max_examples=150)
@given(script=ACTIONS, data=st.data())
def test_whatever_happens_only_the_driving_policy_moves_the_robot(
    robot: RobotConfig, mode: str, script: list[tuple[str, int]], data: st.DataObject
) -> None:
    """Chunks, switches, losses and pauses in any order: limits hold, old policies stay silent."""
    switch = PolicySwitch(robot)
    components = () if mode == 'absolute' else (ActionComponent('joints', 3, 'joint', mode),)
    now, sent = START, dict.fromkeys(Policy, -1)
    last: np.ndarray | None = None
    for what, argument in script:
        if what == 'tick':
            now += argument * TICK
            command = switch.tick(now, ZERO)
            assert command.policy is switch.status.policy and command.target is not None
            assert np.isfinite(command.target).all()
            if not command.holding:
                reference = last if last is not None else ZERO
                assert (np.abs(command.target - reference) <= 0.1 + 1e-9).all()
                assert (np.abs(command.target) <= 1.0).all()
                assert command.seq is not None and command.seq <= sent[command.policy]
                assert now - (START + command.seq * TICK) < 6 * TICK
            last = command.target
        elif what == 'chunk':
            seq = (now - START) // TICK
            values = data.draw(st.lists(st.floats(-5, 5), min_size=24, max_size=24))
            chunk = Chunk(argument, 'e', seq, now, values, 8, 3, 0.05, components)
            if switch.accept(chunk, now).accepted:
                sent[Policy(argument)] = seq
        elif what == 'request':
            selection = switch.request(argument, now)
            assert selection.effective == (selection.policy is selection.pending_policy)
        elif what == 'lost':
            switch.peer_lost([Policy(argument)], 'gone')
            if switch.status.policy == argument:
                held = switch.tick(now, ZERO)
                assert held.holding and held.target is not None
                # A hold without elapsed time does not move, so it need not be at ZERO yet.
                assert (np.abs(held.target - (last if last is not None else ZERO)) <= 0.1 + 1e-9).all()
                last = held.target
        else:
            switch.expire('asked')


@settings(max_examples=200)
@given(start=st.integers(0, 2), wanted=st.integers(0, 2), at=st.integers(0, 11))
def test_after_the_switch_nothing_of_the_old_policy(robot: RobotConfig, start: int, wanted: int, at: int) -> None:
    """Each policy proposes its own number, so every target shows whose it is."""
    switch = PolicySwitch(robot, SwitchConfig(policy=Policy(start)))
    effective = False
    for k in range(24):
        now = START + k * TICK
        if k % 4 == 0:
            for policy in Policy:
                chunk = Chunk(policy, 'e', k // 4, now, np.full(24, 0.01 * (policy + 1)), 8, 3, 0.05)
                assert switch.accept(chunk, now).accepted
        if k == at:
            effective = switch.request(wanted, now).effective
        command = switch.tick(now, ZERO)
        driver = wanted if effective or command.switched else start
        effective = effective or command.switched
        assert command.policy == driver and command.target is not None
        assert command.target.tolist() == pytest.approx([0.01 * (driver + 1)] * 3)
        if command.switched:
            assert k % 4 == 0  # only at a chunk boundary
    assert switch.status.policy == wanted


@pytest.mark.fault('F25')
def test_the_reason_of_a_hold_is_its_present_cause(
    robot: RobotConfig, make_chunk: Make, measured: Callable[[str], None]
) -> None:
    """An event explains a hold until another cause takes its place."""
    switch, now_ns = PolicySwitch(robot, SwitchConfig(policy=Policy.AURA)), START
    reasons = []

    def held(now_ns: int) -> str:
        command = switch.tick(now_ns, np.zeros(3))
        assert command.holding and command.reason == switch.status.reason
        reasons.append(command.reason)
        return command.reason

    assert held(now_ns) == 'no chunk yet'
    for seq in range(3):
        switch.accept(make_chunk(0, seq), START + 4 * seq * TICK)
    assert 'no chunk of aura in this episode: 3 steps' in held(START + 8 * TICK)
    switch.accept(make_chunk(1, 2, value=np.nan), START + 8 * TICK)
    assert 'no usable chunk of aura: non_finite' in held(START + 8 * TICK)
    switch.peer_lost({Policy.AURA}, 'memory_node is gone')
    assert held(START + 9 * TICK) == 'memory_node is gone'
    switch.peer_found({Policy.AURA}, 'its node is back')
    assert 'gone' not in held(START + 9 * TICK)
    switch.accept(make_chunk(1, 3), START + 12 * TICK)
    assert not switch.tick(START + 12 * TICK, np.zeros(3)).holding
    assert switch.status.reason == 'aura drives'
    measured(f'{len(reasons)} causes of a hold, each replaced by the next one')


@pytest.mark.fault('F25')
def test_the_spacing_of_the_steps_is_compared_with_n_action_steps(make_chunk: Make) -> None:
    for expected, differs in ((4, False), (8, True), (3, True)):
        spacing = StepSpacing(expected)
        found = [spacing.problem(make_chunk(0, seq)) for seq in range(12)]
        assert any(found) == differs and not any(found[:10])
        assert not differs or f'every 4 actions, n_action_steps is {expected}' in found[-1]
