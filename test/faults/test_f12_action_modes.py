# SPDX-License-Identifier: Apache-2.0
"""F12 by action mode: what a change of the policy in mid-chunk, and the hold after it, command.

Motions need more than targets do: a delta must not be applied twice, must not be made up for, and must not go on.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from aura_ros.common.action_spec import ActionComponent
from aura_ros.control import Chunk, Policy, PolicySwitch, RobotConfig, SwitchConfig
from aura_ros.control.outputs import BASE_UNITS, TWIST_AXES

pytestmark = pytest.mark.fault('F12')
TICK = 50_000_000
START = 1_700_000_000_000_000_000
STEPS, GRACE = 4, 2
VALUES = {Policy.BASE: 0.01, Policy.AURA: -0.02, Policy.KV: 0.03}
WIDE = 1e3  # no limit acts, so that a command shows whose action it is
ABSOLUTE = (ActionComponent('joints', 3, 'joint', 'absolute'),)
DELTA = (ActionComponent('joints', 3, 'joint', 'delta'),)
VELOCITY = (ActionComponent('joints', 3, 'joint', 'velocity'),)
MOVE = (ActionComponent('move', 3, 'ee_position', 'delta', unit='m'),)
DRIVE = (ActionComponent('drive', 3, 'base', 'velocity'),)


@dataclass(frozen=True)
class Mode:
    """A kind and mode of actions, and the robot that executes them."""

    components: tuple[ActionComponent, ...]
    """Meaning of the columns; all three have the same."""
    names: tuple[str, ...]
    """Joints or axes of the robot; the first three are commanded by the columns."""
    command_type: str
    factor: float
    """What the value 1 commands: a target or velocity, or the motion of one control period."""
    moves: bool
    """Whether the value moves the last command."""
    held_at_zero: bool
    """Whether a hold is zero, and not the measured position."""


MODES = {
    'absolute joints': Mode(ABSOLUTE, ('a', 'b', 'c'), 'joint_trajectory', 1.0, False, False),
    'delta joints': Mode(DELTA, ('a', 'b', 'c'), 'joint_trajectory', 1.0, True, False),
    'velocity joints': Mode(VELOCITY, ('a', 'b', 'c'), 'joint_trajectory', 0.05, True, False),
    'end-effector deltas as a twist': Mode(MOVE, TWIST_AXES, 'twist_stamped', 20.0, False, True),
    'velocity of a mobile base': Mode(DRIVE, tuple(BASE_UNITS), 'base_twist', 1.0, False, True),
}


def robot_of(mode: Mode) -> RobotConfig:
    size = len(mode.names)
    return RobotConfig(
        mode.names,
        (-WIDE,) * size,
        (WIDE,) * size,
        velocity_max=(WIDE,) * size,
        step_max=(WIDE,) * size,
        command_type=mode.command_type,
    )


def chunk_of(mode: Mode, policy: Policy, seq: int) -> Chunk:
    actions = np.full((8, 3), VALUES[policy])
    return Chunk(policy, 'e', seq, START + seq * STEPS * TICK, actions, 8, 3, 0.05, mode.components)


@pytest.mark.parametrize('name', MODES)
def test_each_command_is_of_the_policy_that_drives(name: str, measured: Callable[[str], None]) -> None:
    """Also where chunks arrive up to two control periods late, or not at all, and the measured joints lag."""
    mode, random_ = MODES[name], random.Random(12)
    switch = PolicySwitch(robot_of(mode), SwitchConfig(STEPS, GRACE))
    last, was_held = np.zeros(3), False
    commands, switches, held = 0, 0, 0
    arrivals: dict[int, list[Chunk]] = {}
    for k in range(4000):
        if k % STEPS == 0:
            for policy in Policy:
                if random_.random() < 0.97:
                    arrivals.setdefault(k + random_.randrange(3), []).append(chunk_of(mode, policy, k // STEPS))
        for chunk in arrivals.pop(k, []):
            assert switch.accept(chunk, START + k * TICK).accepted
        if random_.random() < 0.1:
            wanted = random_.choice([policy for policy in Policy if policy != switch.status.pending_policy])
            assert switch.request(wanted, START + k * TICK).success
        lagging = np.zeros(len(mode.names))
        lagging[:3] = last * 0.9
        command = switch.tick(START + k * TICK, lagging)
        assert command.target is not None
        found = command.target[:3]
        if command.holding:
            held += 1
            # A hold goes to the measured position once, and stays there.
            stays = last if was_held else lagging[:3]
            np.testing.assert_allclose(found, np.zeros(3) if mode.held_at_zero else stays, atol=1e-12)
        else:
            expected = VALUES[command.policy] * mode.factor + (last if mode.moves else 0.0)
            np.testing.assert_allclose(found, expected, atol=1e-9)
            commands += 1
        switches += command.switched
        last, was_held = found.copy(), command.holding
    measured(f'{name}: {switches} switches: 0 of {commands} commands wrong, {held} held')
    assert switches > 200 and commands > 3000 and held > 10


@pytest.mark.parametrize('name', MODES)
def test_without_a_chunk_of_the_new_policy_the_robot_is_held(name: str) -> None:
    """The old chunk ends with its share and the grace; then the new policy is in effect, and nothing moves."""
    mode = MODES[name]
    switch = PolicySwitch(robot_of(mode), SwitchConfig(STEPS, GRACE))
    assert switch.accept(chunk_of(mode, Policy.BASE, 0), START).accepted
    here = np.full(len(mode.names), 0.005)
    driven = [switch.tick(START + k * TICK, here) for k in range(2)]
    assert switch.request(Policy.AURA, START + TICK).success
    driven += [switch.tick(START + k * TICK, here) for k in range(2, STEPS + GRACE)]
    assert not any(command.holding for command in driven)
    # The chunks of the old policy keep arriving; they move nothing.
    assert switch.accept(chunk_of(mode, Policy.BASE, 1), START + 5 * TICK).accepted
    held = [switch.tick(START + k * TICK, here) for k in range(STEPS + GRACE, 12)]
    assert all(command.holding and command.policy is Policy.AURA for command in held)
    assert [command.switched for command in held] == [True] + [False] * (len(held) - 1)
    for command in held:
        assert command.target is not None
        np.testing.assert_array_equal(command.target, np.zeros_like(here) if mode.held_at_zero else here)


@pytest.mark.parametrize(('mode', 'kept'), [('absolute', False), ('delta', True), ('velocity', True)])
def test_a_gripper_keeps_its_command_where_the_arm_moves_by_motions(mode: str, kept: bool) -> None:
    """An absolute arm is held with its gripper where both are measured."""
    robot = robot_of(MODES['absolute joints'])
    switch = PolicySwitch(robot, SwitchConfig(STEPS, GRACE))
    components = (ActionComponent('arm', 2, 'joint', mode), ActionComponent('grip', 1, 'gripper', 'absolute'))
    actions = np.tile([0.01, 0.01, 0.7], (8, 1))
    assert switch.accept(Chunk(Policy.BASE, 'e', 0, START, actions, 8, 3, 0.05, components), START).accepted
    assert switch.tick(START, np.zeros(3)).target is not None
    assert switch.request(Policy.AURA, START).success
    held = [switch.tick(START + k * TICK, np.array([0.0, 0.0, 0.4])) for k in range(1, 9)][-1]
    assert held.holding and held.target is not None
    assert held.target.tolist() == [0.0, 0.0, 0.7 if kept else 0.4]
