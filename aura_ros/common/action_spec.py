# SPDX-License-Identifier: Apache-2.0
"""What the numbers of an action mean: groups of columns with kind, mode, frame and unit, and the timing of a chunk.

A spec travels as JSON in the card of a backbone or memory, and as components in the messages of a step and a chunk.
Cards, messages and recordings without a spec mean absolute joint targets.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from typing import Self

from aura_ros.common.errors import ConfigError
from aura_ros.common.spec_fields import (
    FRAMES,
    KINDS,
    UNITS,
    check_count,
    check_dims,
    check_name,
    check_names,
    check_rotation,
    is_number,
    list_of,
    mapping_of,
    one_of,
)

MODES = ('absolute', 'delta', 'velocity', 'state_relative')
"""How a value acts.

`absolute` is a target. `delta` is a change of the target during one action. `velocity` is a rate per second.
`state_relative` is a target relative to the state that the backbone observed, for all actions of its chunk.
"""
ENDS = ('', 'low', 'high')
# Identity of the rotations whose zero is not the identity.
_IDENTITY = {'quaternion_xyzw': (0.0, 0.0, 0.0, 1.0), 'rot6d': (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)}


@dataclass(frozen=True)
class ActionComponent:
    """Consecutive columns of an action with one meaning; checked on construction.

    Raises:
        ConfigError: a value is unusable. The text gives field, value, allowed values and fix.
    """

    name: str
    """Label, different for each component."""
    dims: int
    """Columns [1]."""
    kind: str
    """One of KINDS."""
    mode: str
    """One of MODES."""
    rotation: str = ''
    """Form of an ee_rotation, one of ROTATIONS; '' with other kinds."""
    frame: str = ''
    """Frame of an end-effector value, one of FRAMES; '' is the base. '' with other kinds."""
    unit: str = ''
    """One of UNITS; '' is the unit of the robot file."""
    range: tuple[float, float] | None = None
    """Smallest and largest value, in the unit; None: not limited by the backbone."""
    binary: bool = False
    """Whether a gripper only opens and closes. The two ends of `range` are then its values."""
    closes: str = ''
    """End of `range` that closes a gripper, 'low' or 'high'; '' is unknown."""

    def __post_init__(self) -> None:
        check_name('action component name', self.name)
        where = f'action component {self.name!r}'
        one_of(f'{where}.kind', self.kind, KINDS, 'name what the columns describe')
        one_of(f'{where}.mode', self.mode, MODES, 'name how the values act')
        check_dims(where, self.kind, self.dims)
        check_rotation(where, self.kind, self.rotation, self.dims)
        frames = ('', *FRAMES) if self.kind.startswith('ee_') else ('',)
        one_of(f'{where}.frame', self.frame, frames, 'only end-effector values have a frame')
        one_of(f'{where}.unit', self.unit, ('', *UNITS), 'convert the values to one of these units')
        self._check_range(where)
        self._check_gripper(where)
        if self.kind == 'ee_rotation' and self.mode == 'velocity' and self.rotation != 'axis_angle':
            raise ConfigError(
                f'{where}.rotation = {self.rotation!r}: must be axis_angle with mode velocity, whose value is an '
                'angular velocity; convert it'
            )

    def _check_range(self, where: str) -> None:
        ends = self.range
        if ends is None:
            return
        if not (isinstance(ends, tuple) and len(ends) == 2 and all(map(is_number, ends)) and ends[0] < ends[1]):
            raise ConfigError(f'{where}.range = {ends!r}: must be two finite numbers, the lower first; correct it')

    def _check_gripper(self, where: str) -> None:
        one_of(f'{where}.closes', self.closes, ENDS if self.kind == 'gripper' else ('',), 'only a gripper closes')
        if not isinstance(self.binary, bool):
            raise ConfigError(f'{where}.binary = {self.binary!r}: must be true or false; correct it')
        if self.binary and (self.kind, self.mode) != ('gripper', 'absolute'):
            raise ConfigError(
                f'{where}.binary = True: must be false with kind {self.kind} and mode {self.mode}; '
                'only an absolute gripper is binary'
            )
        if self.binary and self.range is None:
            raise ConfigError(f'{where}.range = None: must be the two values of a binary gripper; add it')

    @classmethod
    def from_dict(cls, value: object) -> Self:
        """Return the component of a JSON object.

        Raises:
            ConfigError: a key is unknown or missing, or a value is unusable.
        """
        known = [field.name for field in fields(cls)]
        found = dict(mapping_of('action component', value, known, ('name', 'dims', 'kind', 'mode')))
        if isinstance(found.get('range'), list):
            found['range'] = tuple(list_of('action component.range', found['range']))
        return cls(**found)  # type: ignore[arg-type]  # __post_init__ checks

    def to_dict(self) -> dict[str, object]:
        """Return a JSON object without the fields that have their default."""
        found: dict[str, object] = {
            field.name: getattr(self, field.name)
            for field in fields(self)
            if getattr(self, field.name) != field.default
        }
        if self.range is not None:
            found['range'] = list(self.range)
        return found

    @property
    def meaning(self) -> tuple[object, ...]:
        """Everything but the label."""
        frame = self.frame or ('base' if self.kind.startswith('ee_') else '')
        return (self.dims, self.kind, self.mode, self.rotation, frame, self.unit, self.range, self.binary, self.closes)

    @property
    def moves(self) -> bool:
        """Whether the value is a motion, whose rest is zero, and not a target."""
        return self.mode in ('delta', 'velocity')

    @property
    def neutral(self) -> tuple[float, ...]:
        """Values of a motion that moves nothing: zeros, and the identity of a rotation."""
        return _IDENTITY.get(self.rotation, (0.0,) * self.dims) if self.mode == 'delta' else (0.0,) * self.dims

    def __str__(self) -> str:
        words = [f'{self.name}: {self.dims} x {self.mode} {self.kind}', self.rotation]
        words += [f'in {self.frame or "base"}'] if self.kind.startswith('ee_') else []
        words += [f'[{self.unit}]'] if self.unit else []
        words += [f'{self.range[0]:g}..{self.range[1]:g}'] if self.range is not None else []
        words += ['binary'] if self.binary else []
        words += [f'closes at the {self.closes} end'] if self.closes else []
        return ' '.join(filter(None, words))


@dataclass(frozen=True)
class ActionSpec:
    """The columns of an action in order, and the timing of a chunk; checked on construction.

    Raises:
        ConfigError: a value is unusable. The text gives field, value, allowed values and fix.
    """

    components: tuple[ActionComponent, ...]
    """Groups of columns, in the order of the action."""
    chunk_size: int
    """Actions in a chunk [1]."""
    n_action_steps: int
    """Actions of a chunk to execute before the next observation [1]."""
    seconds_per_action: float
    """Time between two actions [s]."""

    def __post_init__(self) -> None:
        check_names('components', [component.name for component in self.components])
        check_count('chunk_size', self.chunk_size, 1, 4096)
        check_count('n_action_steps', self.n_action_steps, 1, self.chunk_size)
        if not is_number(self.seconds_per_action) or not 1e-3 <= self.seconds_per_action <= 60.0:
            raise ConfigError(f'seconds_per_action = {self.seconds_per_action!r}: must be 0.001..60 s; correct it')
        positions, rotations = self.places('ee_position'), self.places('ee_rotation')
        if len(positions) > 1 or len(rotations) > 1:
            raise ConfigError(
                f'components = {self.text!r}: must have one ee_position and one ee_rotation at most; '
                'one action commands one end effector'
            )

    @classmethod
    def absolute_joints(cls, dims: int, chunk_size: int, n_action_steps: int, seconds_per_action: float) -> Self:
        """Return the spec of absolute joint targets in the units of the robot file."""
        return cls((absolute_joints(dims),), chunk_size, n_action_steps, seconds_per_action)

    @classmethod
    def from_dict(cls, value: object) -> Self:
        """Return the spec of a JSON object.

        Raises:
            ConfigError: a key is unknown or missing, or a value is unusable.
        """
        known = [field.name for field in fields(cls)]
        found = dict(mapping_of('action spec', value, known, known))
        components = tuple(map(ActionComponent.from_dict, list_of('components', found.pop('components'))))
        return cls(components, **found)  # type: ignore[arg-type]  # __post_init__ checks

    def to_dict(self) -> dict[str, object]:
        """Return a JSON object."""
        return {**asdict(self), 'components': [component.to_dict() for component in self.components]}

    @property
    def dims(self) -> int:
        """Columns of an action [1]."""
        return sum(component.dims for component in self.components)

    @property
    def is_absolute_joints(self) -> bool:
        """Whether the action is what a spec that is left out means."""
        return is_absolute_joints(self.components)

    def places(self, kind: str) -> list[tuple[ActionComponent, slice]]:
        """Return each component of a kind with its columns."""
        return [(component, columns) for component, columns in self.columns if component.kind == kind]

    @cached_property
    def columns(self) -> tuple[tuple[ActionComponent, slice], ...]:
        """Each component with its columns."""
        return columns_of(self.components)

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the meaning of the columns and the size and timing of a chunk, hex."""
        content = [component.meaning for component in self.components], self.chunk_size, self.seconds_per_action
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()

    def compatible(self, other: 'ActionSpec') -> bool:
        """Return whether actions of both specs mean the same; labels and n_action_steps may differ."""
        return not self._difference(other)

    def diff(self, other: 'ActionSpec', mine: str = 'this', its: str = 'the other') -> str:
        """Return how two specs differ, with both printed; '' if they are compatible.

        Args:
            other: spec to compare with.
            mine: what this spec belongs to, for the text.
            its: what the other spec belongs to.
        """
        found = self._difference(other)
        return found and f'the action specs differ in {found}. {mine}: {self.text}. {its}: {other.text}'

    def _difference(self, other: 'ActionSpec') -> str:
        if [one.meaning for one in self.components] != [one.meaning for one in other.components]:
            return 'components'
        same = {name: getattr(self, name) == getattr(other, name) for name in ('chunk_size', 'seconds_per_action')}
        return ', '.join(name for name, equal in same.items() if not equal)

    @property
    def text(self) -> str:
        """The spec in one line."""
        return (
            f'{components_text(self.components)}, chunk_size {self.chunk_size}, n_action_steps {self.n_action_steps}, '
            f'seconds_per_action {self.seconds_per_action:g}'
        )


def absolute_joints(dims: int) -> ActionComponent:
    """Return the component of absolute joint targets in the units of the robot file."""
    return ActionComponent('joints', dims, 'joint', 'absolute')


def is_absolute_joints(components: tuple[ActionComponent, ...]) -> bool:
    """Return whether components are absolute joint targets in the units of the robot file, or left out."""
    plain = absolute_joints(1).meaning[1:]
    return not components or (len(components) == 1 and components[0].meaning[1:] == plain)


def columns_of(components: tuple[ActionComponent, ...]) -> tuple[tuple[ActionComponent, slice], ...]:
    """Return each component with its columns."""
    found, begin = [], 0
    for component in components:
        found.append((component, slice(begin, begin + component.dims)))
        begin += component.dims
    return tuple(found)


def spec_of(card: Mapping[str, object], key: str = 'action_spec') -> ActionSpec | None:
    """Return the spec of a card; None if the card has none.

    Raises:
        ConfigError: the spec is unusable.
    """
    return ActionSpec.from_dict(card[key]) if key in card else None


def equal_meaning(one: tuple[ActionComponent, ...], other: tuple[ActionComponent, ...]) -> bool:
    """Return whether the columns of two actions mean the same; components that are left out are absolute joints."""
    if one == other:
        return True
    if is_absolute_joints(one) and is_absolute_joints(other):
        return not one or not other or one[0].dims == other[0].dims
    return [each.meaning for each in one] == [each.meaning for each in other]


def components_text(components: tuple[ActionComponent, ...]) -> str:
    """Return components in one line."""
    return f'[{"; ".join(map(str, components))}]' if components else '[absolute joint targets]'
