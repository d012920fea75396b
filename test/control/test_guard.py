# SPDX-License-Identifier: Apache-2.0
"""Whatever arrives, in whatever order: each command that leaves is finite, inside the limits, and near the last."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from aura_ros.common.action_spec import ActionComponent
from aura_ros.control import Chunk, ClockWatch, Policy, PolicySwitch, Refusal, RobotConfig, SwitchConfig
from aura_ros.control.guard import CommandGuard

Values = Callable[..., dict[str, object]]
TICK = 50_000_000
START = 1_700_000_000_000_000_000
CHANGE = np.array([0.1, 0.2, 0.05])  # per period: by velocity, by step, by velocity
CONFIG = SwitchConfig()
MODES = {
    'absolute': (),
    'delta': (ActionComponent('joints', 3, 'joint', 'delta'),),
    'velocity': (ActionComponent('joints', 3, 'joint', 'velocity'),),
}
EPS = 1e-9


@pytest.fixture(scope='module')
def guarded(robot_values: Values) -> RobotConfig:
    """Three joints, the middle one bound by its step and the others by their velocity."""
    return RobotConfig.from_mapping(robot_values(velocity_max=[2.0, 9.0, 1.0], step_max=[0.2, 0.2, 0.2]))


@pytest.fixture(scope='module')
def mapped(robot_values: Values) -> RobotConfig:
    """The same joints on two outputs, the second one inverted and the third one open or closed."""
    values = robot_values(velocity_max=[2.0, 9.0, 1.0], step_max=[0.2, 0.2, 0.2])
    values |= {
        'outputs': ['arm', 'gripper'],
        'arm': {'joint_names': ['joint1', 'joint2'], 'command_topic': 'arm'},
        'gripper': {'joint_names': ['joint3'], 'command_topic': 'gripper'},
        'mapped_joints': ['joint2', 'joint3'],
        'map_joint2': {'policy': [0.0, 1.0], 'robot': [0.5, -0.5]},
        'map_joint3': {'policy': [-1.0, 1.0], 'robot': [-0.9, 0.9], 'threshold': 0.1},
    }
    return RobotConfig.from_mapping(values)


# What may happen. -----------------------------------------------------------------------------------------------------
wild = st.one_of(st.floats(-1.5, 1.5), st.floats(), st.sampled_from([np.nan, np.inf, -np.inf, 1e308, -1e308, 1e9]))
positions = st.one_of(
    st.none(),
    st.just(np.zeros(3)),
    st.lists(st.floats(-1.0, 1.0), min_size=3, max_size=3).map(np.array),
    st.lists(wild, min_size=3, max_size=3).map(np.array),
    st.just(np.zeros(2)),
)
seeds = st.integers(0, 2**32 - 1)
actions = seeds.map(lambda seed: np.random.default_rng(seed).uniform(-1.5, 1.5, 24))
good_chunks = st.fixed_dictionaries(
    {
        'policy': st.integers(0, 2),
        'episode_id': st.sampled_from(['a', 'a', 'a', 'b']),
        'ahead': st.integers(1, 3),
        'age_ns': st.sampled_from([0, TICK, 2 * TICK, -20_000_000]),
        'chunk_size': st.just(8),
        'action_dim': st.just(3),
        'values': actions,
        'seconds_per_action': st.just(0.05),
    }
)
bad_chunks = st.fixed_dictionaries(
    {
        'policy': st.sampled_from([0, 0, 1, 1, 2, 3]),
        'episode_id': st.sampled_from(['a', 'a', 'a', 'b', '']),
        'ahead': st.integers(-2, 4),  # of the newest step of the policy
        'age_ns': st.sampled_from([0, 0, TICK, 4 * TICK, 501_000_000, 10**18, -20_000_000, -20_000_001, -(10**12)]),
        'values': st.one_of(actions, wild.map(lambda value: [value] + [0.0] * 23)),
        'chunk_size': st.sampled_from([8, 8, 8, 8, 7, 0]),
        'action_dim': st.sampled_from([3, 3, 3, 3, 4]),
        'seconds_per_action': st.sampled_from([0.05, 0.05, 0.05, 0.02, 1.0, 0.0, np.nan]),
    }
)
pauses = st.sampled_from([0, 1, TICK // 3, 7 * TICK, 10**10, -1, -TICK, -(10**10)])
events = st.one_of(
    st.tuples(st.just('play'), st.tuples(seeds, st.integers(1, 12))),
    st.tuples(st.just('tick'), st.tuples(st.one_of(st.just(TICK), pauses), positions)),
    st.tuples(st.just('chunk'), good_chunks),
    st.tuples(st.just('chunk'), bad_chunks),
    st.tuples(st.sampled_from(['request', 'lost', 'found']), st.integers(0, 3)),
    st.tuples(st.sampled_from(['expire', 'end', 'begin', 'control']), st.none()),
)


@dataclass
class Watched:
    """A policy switch, what it was given, and what has left it."""

    robot: RobotConfig
    mode: str = 'absolute'
    now_ns: int = START
    driven: int = 0
    held: int = 0
    refused: int = 0
    last: np.ndarray | None = None
    last_ns: int = 0

    def __post_init__(self) -> None:
        self.switch = PolicySwitch(self.robot, CONFIG)
        self.accepted: dict[tuple[int, str, int], Chunk] = {}

    def tick(self, elapsed_ns: int, joints: np.ndarray | None) -> None:
        self.now_ns += elapsed_ns
        if self.now_ns - self.last_ns > 10 * TICK:
            self.last = None  # a pause: the robot may be anywhere
        command = self.switch.tick(self.now_ns, joints)
        if command.target is None:
            assert self.last is None and command.holding
            return
        target = command.target
        assert np.isfinite(target).all()
        assert (np.abs(target) <= 1.0).all()
        known = joints is not None and joints.shape == (3,) and np.isfinite(joints).all()
        reference, elapsed_ns = joints if self.last is None else self.last, self.now_ns - self.last_ns
        assert reference is not None
        share = min(max(elapsed_ns, 0), TICK) / TICK
        allowed = np.minimum(CHANGE * [share, 1.0, share], [0.1, 9.0 * 0.05 * share, 0.05])
        assert (np.abs(target - reference) <= allowed + EPS).all(), 'a step or a velocity limit was exceeded'
        self.held += command.holding
        if not command.holding:
            self.driven += 1
            assert known, 'driven without knowing where the robot is'
            self._of_an_accepted_chunk(command, target, reference, share * TICK * 1e-9)
        self.last, self.last_ns = target, self.now_ns

    def _of_an_accepted_chunk(self, command: object, target: np.ndarray, reference: np.ndarray, moved_s: float) -> None:
        chunk = self.accepted[command.policy, self.switch.status.episode_id, command.seq]
        age_ns = self.now_ns - chunk.stamp_ns
        assert -CONFIG.future_tolerance_ns <= age_ns <= CONFIG.max_age_ns
        action = np.reshape(chunk.actions, (chunk.chunk_size, 3))[command.index]
        if self.mode == 'absolute':
            action = self.robot.to_robot(action)
        else:  # a motion, for the time since the last command
            action = reference + action * (moved_s / chunk.seconds_per_action if self.mode == 'delta' else moved_s)
        between = np.clip(np.clip(action, -1.0, 1.0), np.minimum(reference, target), np.maximum(reference, target))
        np.testing.assert_allclose(target, between, atol=EPS, err_msg='not on the way to the action of its chunk')

    def offer(self, ahead: int, age_ns: int, values: list[float], **fields: object) -> None:
        policy = fields['policy']
        newest = self.switch.status.newest_seq[policy] if policy in tuple(Policy) else 0
        chunk = Chunk(
            seq=newest + ahead, stamp_ns=self.now_ns - age_ns, actions=values, components=MODES[self.mode], **fields
        )  # type: ignore[arg-type]
        before = self.switch.status.rejected
        verdict = self.switch.accept(chunk, self.now_ns)
        assert verdict.accepted == (verdict.refusal is None) == (self.switch.status.rejected == before)
        if verdict.accepted:
            key = (chunk.policy, chunk.episode_id, chunk.seq)
            assert key not in self.accepted, 'the same step twice'
            self.accepted[key] = chunk
        else:
            assert verdict.text
            self.refused += 1

    def happen(self, what: str, argument: object) -> None:
        switch = self.switch
        if what == 'tick':
            self.tick(*argument)
        elif what == 'play':
            seed, ticks = argument
            random = np.random.default_rng(seed)
            self.offer(
                policy=switch.status.pending_policy,
                episode_id=switch.status.episode_id or 'a',
                ahead=1,
                age_ns=0,
                values=random.uniform(-1.5, 1.5, 24),
                chunk_size=8,
                action_dim=3,
                seconds_per_action=float(random.choice([0.05, 0.3])),
            )
            for _ in range(ticks):
                self.tick(TICK, random.uniform(-1.0, 1.0, 3))
        elif what == 'chunk':
            self.offer(**argument)
        elif what == 'request':
            switch.request(argument, self.now_ns)
        elif what == 'lost':
            switch.peer_lost({Policy(argument % 3)}, 'gone')
        elif what == 'found':
            switch.peer_found({Policy(argument % 3)})
        elif what == 'begin':
            self.accepted.clear()
            switch.begin('a')
        elif what == 'control':
            switch.control_changed()
            self.last = None
        elif what == 'expire':
            switch.expire('asked')
        else:
            switch.end('asked')


@pytest.mark.fault('F5', 'F7', 'F11')
@pytest.mark.parametrize(
    ('robot_name', 'mode'),
    [('guarded', 'absolute'), ('mapped', 'absolute'), ('guarded', 'delta'), ('guarded', 'velocity')],
)
def test_every_command_that_leaves_is_safe(
    request: pytest.FixtureRequest, robot_name: str, mode: str, measured: Callable[[str], None]
) -> None:
    robot: RobotConfig = request.getfixturevalue(robot_name)
    total = Watched(robot)

    @settings(max_examples=200 if mode == 'absolute' else 100)
    @given(script=st.lists(events, min_size=20, max_size=60))
    def anything(script: list[tuple[str, object]]) -> None:
        watched = Watched(robot, mode)
        for what, argument in script:
            watched.happen(what, argument)
        total.driven += watched.driven
        total.held += watched.held
        total.refused += watched.refused

    anything()
    assert min(total.driven, total.held, total.refused) > 200
    kind = f'{robot_name} robot, {mode} actions'
    measured(
        f'any traffic, {kind}: {total.driven} driven and {total.held} held commands, none outside a limit; '
        f'none of {total.refused} refused chunks'
    )


@given(steps=st.lists(st.tuples(st.integers(0, 3), st.floats(-1, 1), st.floats(-1.2, 1.2)), max_size=60))
def test_a_twist_is_stopped_at_once_beside_a_gripper(
    robot_values: Values, steps: list[tuple[int, float, float]]
) -> None:
    axes = ['linear_x', 'linear_y', 'linear_z', 'angular_x', 'angular_y', 'angular_z']
    values = robot_values(7, joint_names=[*axes, 'finger'], outputs=['arm', 'hand'])
    values['arm'] = {'joint_names': axes, 'command_type': 'twist_stamped', 'command_topic': 'servo'}
    values['hand'] = {'joint_names': ['finger'], 'command_topic': 'hand'}
    robot = RobotConfig.from_mapping(values)
    guard, now_ns, last = CommandGuard(robot), START, None
    for what, speed, position in steps:
        now_ns += TICK
        joints = np.full(7, position)
        if last is None and guard.problem(joints, now_ns):
            # As before the first command of any robot: too far outside to be moved.
            assert abs(position) > 1.1 and guard.hold(joints, now_ns) is None
            continue
        target = guard.hold(joints, now_ns) if what == 0 else guard.drive(np.full(7, speed), joints, now_ns)
        assert target is not None and (np.abs(target) <= 1.0 + EPS).all()
        reference = robot.hold_target(joints) if last is None else last
        if what == 0:
            assert not target[:6].any()
        else:
            assert (np.abs(target - reference)[:6] <= 0.1 + EPS).all()
        assert abs(target[6] - reference[6]) <= 0.1 + EPS
        last = target


# Single holes, each of which was open once or nearly. -----------------------------------------------------------------
def drive(robot: RobotConfig, ticks: int = 3, value: float = 0.5) -> PolicySwitch:
    switch = PolicySwitch(robot)
    assert switch.accept(chunk(0, value), START).accepted
    for k in range(ticks):
        switch.tick(START + k * TICK, np.zeros(3))
    return switch


def chunk(seq: int, value: float = 0.5, **changes: object) -> Chunk:
    made = Chunk(0, 'e', seq, START + 4 * seq * TICK, np.full(24, value), 8, 3, 0.05)
    return replace(made, **changes)  # type: ignore[arg-type]


def test_one_wrong_measurement_moves_a_held_robot_by_one_step_at_most(robot: RobotConfig) -> None:
    switch = drive(robot)
    last = switch.tick(START + 3 * TICK, np.zeros(3)).target
    switch.expire('asked')
    mad = switch.tick(START + 4 * TICK, np.full(3, 1e6)).target
    assert last is not None and mad is not None
    assert np.abs(mad - last).max() <= 0.1 + EPS
    held = [switch.tick(START + k * TICK, np.full(3, 0.38)).target for k in range(5, 9)]
    np.testing.assert_allclose(held[-1], 0.38)  # met where it is, and no longer followed from then on
    np.testing.assert_allclose(switch.tick(START + 9 * TICK, np.zeros(3)).target, 0.38)


def test_a_robot_far_outside_its_limits_is_not_moved(robot: RobotConfig) -> None:
    switch = PolicySwitch(robot)
    assert switch.accept(chunk(0), START).accepted
    for joints in (np.array([0.0, 1.2, 0.0]), np.array([0.0, 1e9, 0.0])):
        command = switch.tick(START, joints)
        assert command.target is None and command.holding
        assert 'joint2' in command.reason and 'position limits -1..1' in command.reason
        assert switch.status.reason == command.reason
    slightly = switch.tick(START + TICK, np.array([0.0, 1.05, 0.0])).target
    assert slightly is not None and 0.95 - EPS <= slightly[1] <= 1.0


def test_nothing_moves_while_the_clock_is_stopped(robot: RobotConfig) -> None:
    switch = drive(robot)
    first = switch.tick(START + 2 * TICK, np.zeros(3)).target
    for _ in range(20):
        np.testing.assert_array_equal(switch.tick(START + 2 * TICK, np.zeros(3)).target, first)


def test_after_a_pause_commands_start_at_the_measured_position(robot: RobotConfig) -> None:
    switch = drive(robot)
    later = START + 60 * TICK
    assert switch.accept(chunk(1, stamp_ns=later), later).accepted
    elsewhere = switch.tick(later, np.full(3, -0.8)).target
    np.testing.assert_allclose(elsewhere, -0.7)


@pytest.mark.fault('F11')
def test_no_command_is_older_than_the_limit(robot: RobotConfig, measured: Callable[[str], None]) -> None:
    """A chunk of slow actions would play for 4 s; its observation is too old after half a second."""
    switch = PolicySwitch(robot)
    assert switch.accept(chunk(0, seconds_per_action=1.0), START).accepted
    driven = [k for k in range(100) if not switch.tick(START + k * TICK, np.zeros(3)).holding]
    assert driven == list(range(10))
    measured(f'oldest observation that moved the robot: {driven[-1] * TICK * 1e-9:.2f} s of 0.5 s allowed')


@pytest.mark.fault('F7')
@pytest.mark.parametrize(
    ('changes', 'expected'),
    [
        ({'stamp_ns': 0}, Refusal.UNSTAMPED),
        ({'stamp_ns': -1}, Refusal.UNSTAMPED),
        ({'seq': 2**64 - 1}, Refusal.OUT_OF_ORDER),
        ({'episode_id': ''}, Refusal.EPISODE),
        ({'actions': ['a'] * 24}, Refusal.SHAPE),
        ({'actions': np.zeros((3, 8))}, Refusal.SHAPE),
        ({'actions': None}, Refusal.SHAPE),
    ],
)
def test_refused_at_any_time_of_the_clock(robot: RobotConfig, changes: dict[str, object], expected: Refusal) -> None:
    """A simulation may begin at zero: no stamp may be taken for a fresh one there."""
    switch = PolicySwitch(robot)
    verdict = switch.accept(replace(chunk(0, stamp_ns=TICK), **changes), TICK)  # type: ignore[arg-type]
    assert verdict.refusal is expected and verdict.text
    assert switch.status.rejected == 1 and switch.status.episode_id == ''


def test_a_late_chunk_after_a_gap_reports_both(robot: RobotConfig) -> None:
    switch = drive(robot)
    late = switch.accept(chunk(3), START + 12 * TICK + 350_000_000)
    assert late.refusal is Refusal.LATE and late.missed == 2
    assert '2 steps missing before step 3' in late.text


def test_changes_by_limits_are_reported_by_joint(robot: RobotConfig) -> None:
    switch = drive(robot, ticks=1, value=3.0)
    assert switch.status.limited == {'position': {}, 'step': {}, 'velocity': {'joint1': 1, 'joint2': 1, 'joint3': 1}}


def test_a_chunk_of_an_unknown_policy_is_counted(robot: RobotConfig) -> None:
    switch = PolicySwitch(robot)
    assert switch.accept(chunk(0, policy=9), START).refusal is Refusal.POLICY
    assert (switch.status.rejected, switch.status.unknown_policy) == (1, 1)


@example(gaps_ns=[1] * 10)
@given(gaps_ns=st.lists(st.integers(0, 200_000_000), min_size=1))
def test_a_stopped_clock_is_detected_on_the_steady_clock(gaps_ns: list[int]) -> None:
    watch, steady_ns, since_ns = ClockWatch(300_000_000), 0, 0
    assert not watch.stopped(7, steady_ns)
    for gap_ns in gaps_ns:
        steady_ns += gap_ns
        assert watch.stopped(7, steady_ns) == (steady_ns - since_ns > 300_000_000)
    assert not watch.stopped(8, steady_ns + 10**12)
