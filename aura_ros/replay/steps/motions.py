# SPDX-License-Identifier: Apache-2.0
"""Actions of a backbone from recorded targets: a delta or velocity is what lies between two targets.

A recording has joint commands, measured poses or twists. A backbone with end-effector deltas or joint velocities has
other columns. This is the way back from `control.actions`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aura_ros.common.action_spec import ActionComponent, ActionSpec, columns_of
from aura_ros.common.errors import ConfigError
from aura_ros.common.rotations import from_matrix, to_matrix
from aura_ros.control.outputs import POSE_AXES, TWIST_AXES
from aura_ros.control.robot import RobotConfig

Floats = NDArray[np.float64]
_DEGREE = np.pi / 180.0
_AXES = 3
_PLACES = {'ee_position': slice(0, _AXES), 'ee_rotation': slice(_AXES, 2 * _AXES)}


def recorded_targets(robot: RobotConfig, spec: ActionSpec) -> tuple[str, ...]:
    """Return the names of the recorded values from which the actions of a backbone follow, in their order.

    They are the axes of the pose or twist of the end effector, and joints of the robot file.

    Raises:
        ConfigError: the robot has not as many joints as the actions.
    """
    joints = list(robot.joint_names)
    axes: tuple[str, ...] = POSE_AXES
    if spec.places('ee_position') or spec.places('ee_rotation'):
        if any(output.command_type == 'twist_stamped' for output in robot.outputs):
            axes = TWIST_AXES
        taken = {*axes, *(robot.end_effector.joint_names if robot.end_effector is not None else ())}
        joints = [name for name in joints if name not in taken]
    wheels = [name for output in robot.outputs if output.is_base for name in output.joint_names]
    free = {'base': [name for name in joints if name in wheels]}
    joints = [name for name in joints if name not in wheels]
    names: list[str] = []
    for component in spec.components:
        if component.kind in _PLACES:
            names += axes[_PLACES[component.kind]]
            continue
        left = free.get(component.kind, joints)
        names += left[: component.dims]
        del left[: component.dims]
    wanted = sum(map(_width, spec.components))
    if len(names) != wanted or joints or free['base']:
        raise ConfigError(
            f'the robot file has {robot.size} joint_names, {", ".join(robot.joint_names)}: must be one for each column '
            f'of the actions that is not of the end effector; the actions are {spec.text}'
        )
    return tuple(names)


def _width(component: ActionComponent) -> int:
    """Recorded values of a component; a rotation is recorded as a vector."""
    return _AXES if component.kind == 'ee_rotation' else component.dims


@dataclass(frozen=True)
class _Part:
    """One component, and its places among the recorded values."""

    component: ActionComponent
    columns: slice
    """Columns of the action."""
    places: slice
    """Columns of the recorded values."""
    scale: float
    """Recorded value for the value 1 of the action."""
    is_rate: bool
    """Whether the recorded values are velocities."""
    turn: slice | None
    """Columns of the recorded rotation; None without one."""
    seconds: float
    """Time between two actions [s]."""

    @property
    def looks_ahead(self) -> bool:
        """Whether an action needs the value after it."""
        return self.component.moves and not self.is_rate

    def values(self, rows: Floats) -> Floats:
        """Return this part of the actions, float64 [L, dims]; `rows` has one more row."""
        return self._rotations(rows) if self.component.kind == 'ee_rotation' else self._vectors(rows) / self.scale

    def _vectors(self, rows: Floats) -> Floats:
        now, after = rows[:-1, self.places], rows[1:, self.places]
        if not self.component.moves:
            return now
        moved = now * self.seconds if self.is_rate else after - now
        if self.component.frame == 'end_effector':
            moved = np.stack([turn.T @ row for turn, row in zip(self._turns(rows), moved, strict=False)])
        return moved / self.seconds if self.component.mode == 'velocity' else moved

    def _rotations(self, rows: Floats) -> Floats:
        form, moves = self.component.rotation, self.component.moves
        share = 1.0 / self.seconds if self.component.mode == 'velocity' else 1.0
        found = []
        for before, after, row in zip(self._turns(rows), self._turns(rows)[1:], rows, strict=False):
            turn = before
            if self.is_rate:
                turn = to_matrix('axis_angle', row[self.places] * self.seconds)
            elif moves:
                turn = before.T @ after if self.component.frame == 'end_effector' else after @ before.T
            values = from_matrix(form, turn)
            found.append(values if form in ('quaternion_xyzw', 'rot6d') else values * share / self.scale)
        return np.array(found)

    def _turns(self, rows: Floats) -> list[Floats]:
        assert self.turn is not None
        return [to_matrix('axis_angle', row[self.turn]) for row in rows]


class Motions:
    """Makes chunks of actions of recorded targets."""

    def __init__(
        self, spec: ActionSpec, names: Sequence[str], per_unit: tuple[float, float], mapped: frozenset[str]
    ) -> None:
        """Prepare.

        Args:
            spec: the actions.
            names: names of the recorded values, see `recorded_targets`.
            per_unit: translation [m] and rotation [rad] of an end-effector action with the unit 1 and the value 1.
            mapped: joints whose recorded values have the unit of the policy already.

        Raises:
            ConfigError: the names do not fit the actions, or a unit has no size.
        """
        wanted = sum(map(_width, spec.components))
        if len(names) != wanted:
            raise ConfigError(
                f'action_names has {len(names)} names: must have {wanted}, of which a rotation takes 3; the actions '
                f'are {spec.text}'
            )
        self._dims, self._parts, begin = spec.dims, list[_Part](), 0
        turn = slice(names.index(POSE_AXES[_AXES]), names.index(POSE_AXES[-1]) + 1) if POSE_AXES[-1] in names else None
        for component, columns in columns_of(spec.components):
            places = slice(begin, begin := begin + _width(component))
            recorded = names[places]
            is_rate = component.kind == 'base' or recorded[0] in TWIST_AXES
            scale = _scale(component, recorded, per_unit, mapped)
            if component.frame == 'end_effector' and component.moves and (is_rate or turn is None):
                raise ConfigError(
                    f'component {component.name!r} is in the frame of the end effector: its recorded pose must be in '
                    'action_names, position_x to rotation_z'
                )
            own = places if component.kind == 'ee_rotation' else turn
            self._parts.append(_Part(component, columns, places, scale, is_rate, own, spec.seconds_per_action))

    @property
    def ahead(self) -> int:
        """Recorded values that an action needs after its own [1]."""
        return int(any(part.looks_ahead for part in self._parts))

    def actions(self, rows: Floats) -> NDArray[np.float32]:
        """Return the actions, float32 [L, A], of recorded values at L or, with `ahead`, L + 1 times."""
        if not self.ahead:
            rows = np.concatenate([rows, rows[-1:]])
        found = np.empty((len(rows) - 1, self._dims), np.float32)
        for part in self._parts:
            found[:, part.columns] = part.values(rows)
        return found


def _scale(
    component: ActionComponent, recorded: Sequence[str], per_unit: tuple[float, float], mapped: frozenset[str]
) -> float:
    if component.kind not in _PLACES:
        known = mapped.isdisjoint(recorded)
        return _DEGREE if component.unit.startswith('deg') and known else 1.0
    if component.rotation in ('quaternion_xyzw', 'rot6d'):
        return 1.0
    if component.unit == '1':
        turns = component.kind == 'ee_rotation'
        if not (found := per_unit[turns]):
            name = 'rotation_per_unit' if turns else 'translation_per_unit'
            raise ConfigError(
                f'component {component.name!r} has the unit 1: {name} must be what its controller moves for the value '
                '1; add it to the robot file or the mapping'
            )
        return found
    return _DEGREE if component.unit.startswith('deg') else 1.0
