# SPDX-License-Identifier: Apache-2.0
"""From the actions of a policy to the command of a robot, for each component by its kind and mode.

An absolute value is a target. A motion (delta or velocity) moves the last command: a delta is spread evenly over the
time of its action, and one command applies the share of one control period at most. So a late or repeated command
never adds a motion twice, and a motion starts from what the guard has allowed.

Components of a mobile base go to an output of velocities of a base. End-effector components go to an output of twists
or poses. Without one, the inverse kinematics of `end_effector` gives joint targets. The workspace and the speeds of the
end effector are limited before it, and the joints after it.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from aura_ros.common.action_spec import ActionComponent, columns_of, is_absolute_joints
from aura_ros.common.errors import ConfigError, InputError
from aura_ros.control.base_motion import BaseMotion
from aura_ros.control.chunk import Chunk
from aura_ros.control.end_effector import Kinematics
from aura_ros.control.grip import GripLatch
from aura_ros.control.motion import EndEffectorMotion, JointMotion, Moment, Placed, PoseMotion, TwistMotion
from aura_ros.control.robot import RobotConfig

_PLANS_KEPT = 16


class _Part(Protocol):
    """Writes the command of some columns of the robot."""

    def fill(self, row: NDArray[np.float64], wanted: NDArray[np.float64], at: Moment) -> None:
        """Write into `wanted`, float64 [J], which begins as the last command."""


@dataclass(frozen=True)
class ActionPlan:
    """How the actions of one meaning become commands."""

    parts: tuple[_Part, ...]
    """Parts that fill all columns; empty for absolute joint targets."""
    grips: tuple[int, ...] = ()
    """Columns of grippers that keep their last command in a hold, because the arm moves by deltas or velocities."""


class ActionMapper:
    """Turns actions into targets of a robot. Not thread-safe.

    Attributes:
        counts: commands in which 'workspace', 'translation' or 'rotation' limited the end effector [1].
        limited: whether a limit of the end effector changed the last target.
    """

    def __init__(self, robot: RobotConfig, kinematics: Kinematics | None = None) -> None:
        """Serve a robot; `kinematics` belong to its `end_effector`, and are needed for end-effector actions."""
        self._robot = robot
        self._plans: dict[tuple[ActionComponent, ...], ActionPlan | str] = {}
        self._latch = GripLatch()
        self.limited = False
        self.counts: Counter[str] = Counter()
        self._effector_motion = (
            EndEffectorMotion(robot, robot.end_effector, kinematics, self.counts)
            if robot.end_effector is not None and kinematics is not None
            else None
        )

    def problem(self, components: tuple[ActionComponent, ...], action_dim: int) -> str:
        """Return why the robot cannot execute such actions, '' if it can."""
        plan = self._plan(components)
        if isinstance(plan, str):
            return plan
        if not plan.parts and action_dim != self._robot.size:
            return f'action_dim = {action_dim}: must be {self._robot.size}, the joints in the robot file'
        return ''

    def keeps(self, chunk: Chunk) -> NDArray[np.bool_]:
        """Return which columns keep their last command in a hold after an action of `chunk`, bool [J]."""
        plan, keeps = self._plan(chunk.components), self._robot.keeps_command.copy()
        if isinstance(plan, ActionPlan):
            keeps[list(plan.grips)] = True
        return keeps

    def target(self, chunk: Chunk, index: int, at: Moment) -> NDArray[np.float64]:
        """Return the wanted command, float64 [J], before the limits of the joints.

        Args:
            chunk: chunk whose `problem` is ''.
            index: number of the action.
            at: last command and time.

        Raises:
            InputError: the action is no rotation, or the inverse kinematics has no solution.
        """
        row = np.asarray(chunk.actions, np.float64).reshape(chunk.chunk_size, chunk.action_dim)[index]
        row = self._latch.decide(chunk.components, row)
        plan = self._plan(chunk.components)
        if isinstance(plan, str):
            raise InputError(plan)
        self.limited = False
        if not plan.parts:
            return self._robot.to_robot(row)
        wanted, before = at.last.copy(), self.counts.total()
        for part in plan.parts:
            part.fill(row, wanted, at)
        self.limited = self.counts.total() != before
        if not np.isfinite(wanted).all():
            raise InputError('the command is not finite: the action is too large')
        return wanted

    def _plan(self, components: tuple[ActionComponent, ...]) -> ActionPlan | str:
        if components not in self._plans:
            if len(self._plans) >= _PLANS_KEPT:
                self._plans.clear()
            try:
                self._plans[components] = self._make(components)
            except ConfigError as error:
                self._plans[components] = str(error)
        return self._plans[components]

    def _make(self, components: tuple[ActionComponent, ...]) -> ActionPlan:
        if is_absolute_joints(components):
            return ActionPlan(())
        effector = {
            component.kind: Placed.of(self._robot, component, columns)
            for component, columns in columns_of(components)
            if component.kind.startswith('ee_')
        }
        parts: list[_Part] = []
        taken: list[int] = []
        if effector:
            part, taken = self._effector(effector.get('ee_position'), effector.get('ee_rotation'))
            parts.append(part)
        wheels = [column for output in self._robot.outputs if output.is_base for column in self._robot.columns(output)]
        joints = [column for column in range(self._robot.size) if column not in (*taken, *wheels)]
        grips: list[int] = []
        for component, columns in columns_of(components):
            if component.kind.startswith('ee_'):
                continue
            free = wheels if component.kind == 'base' else joints
            places, free[:] = free[: component.dims], free[component.dims :]
            parts.append(self._part(component, columns, places))
            grips += places if component.kind == 'gripper' else []
        if left := sorted((*joints, *wheels)):
            names = ', '.join(self._robot.joint_names[column] for column in left)
            raise ConfigError(f'the actions have no column for {names}: must command all joints in the robot file')
        moves = any(component.moves for component in components if component.kind not in ('gripper', 'base'))
        return ActionPlan(tuple(parts), tuple(grips) if moves else ())

    def _part(self, component: ActionComponent, columns: slice, places: list[int]) -> _Part:
        what = 'axes of outputs base_twist' if component.kind == 'base' else 'joints'
        if len(places) < component.dims:
            raise ConfigError(
                f'component {component.name!r} has {component.dims} columns, and the robot file has {len(places)} '
                f'{what} left for it: they must fit'
            )
        if component.kind == 'base':
            return BaseMotion.of(self._robot, component, columns, places)
        return JointMotion.of(self._robot, component, columns, places)

    def _effector(self, position: Placed | None, rotation: Placed | None) -> tuple[_Part, list[int]]:
        """Return the part of the end effector and its columns of the robot."""
        for output in self._robot.outputs:
            if output.command_type == 'twist_stamped':
                return TwistMotion.of(self._robot, output, position, rotation, self.counts), self._robot.columns(output)
            if output.command_type == 'pose_stamped':
                return PoseMotion.of(self._robot, output, position, rotation), self._robot.columns(output)
        if self._effector_motion is None:
            raise ConfigError(
                'end-effector actions need an output twist_stamped or pose_stamped, or the group robot.end_effector '
                'with a model of the arm: add one to the robot file'
            )
        return self._effector_motion.part(position, rotation), self._effector_motion.columns
