# SPDX-License-Identifier: Apache-2.0
"""What a backbone reads of the robot's state: named parts with kind and unit, from the measured values in order."""

from dataclasses import dataclass, fields
from typing import Self

from aura_ros.common.errors import ConfigError
from aura_ros.common.spec_fields import (
    FRAMES,
    KINDS,
    UNITS,
    check_dims,
    check_name,
    check_names,
    check_rotation,
    list_of,
    mapping_of,
    one_of,
)


@dataclass(frozen=True)
class StatePart:
    """One named part of the state; checked on construction.

    Raises:
        ConfigError: a value is unusable. The text gives field, value, allowed values and fix.
    """

    name: str
    """Key of the part in `Observation.state`."""
    dims: int
    """Values [1]."""
    kind: str
    """One of KINDS."""
    unit: str = ''
    """One of UNITS; '' is the unit of the robot file."""
    rotation: str = ''
    """Form of an ee_rotation, one of ROTATIONS; '' with other kinds."""
    frame: str = ''
    """Frame of an end-effector value: 'base' or '' for the base."""

    def __post_init__(self) -> None:
        check_name('state part name', self.name)
        where = f'state part {self.name!r}'
        one_of(f'{where}.kind', self.kind, KINDS, 'name what the values describe')
        check_dims(where, self.kind, self.dims)
        check_rotation(where, self.kind, self.rotation, self.dims)
        one_of(f'{where}.unit', self.unit, ('', *UNITS), 'convert the values to one of these units')
        frames = ('', FRAMES[0]) if self.kind.startswith('ee_') else ('',)
        one_of(f'{where}.frame', self.frame, frames, 'a pose is measured in the frame of the base')

    @classmethod
    def from_dict(cls, value: object) -> Self:
        """Return the part of a JSON object.

        Raises:
            ConfigError: a key is unknown or missing, or a value is unusable.
        """
        known = [field.name for field in fields(cls)]
        return cls(**mapping_of('state part', value, known, ('name', 'dims', 'kind')))  # type: ignore[arg-type]

    def to_dict(self) -> dict[str, object]:
        """Return a JSON object without the fields that have their default."""
        return {
            field.name: getattr(self, field.name)
            for field in fields(self)
            if getattr(self, field.name) != field.default
        }

    @property
    def measured(self) -> int:
        """Measured values that the part takes [1]. A rotation is measured as a rotation vector of three."""
        return 3 if self.kind == 'ee_rotation' else self.dims

    def __str__(self) -> str:
        words = [f'{self.name}: {self.dims} x {self.kind}', self.rotation, f'[{self.unit}]' if self.unit else '']
        return ' '.join(filter(None, words))


@dataclass(frozen=True)
class StateSpec:
    """The parts of the state in the order of the measured values; checked on construction.

    Raises:
        ConfigError: there is no part, or a name occurs twice.
    """

    parts: tuple[StatePart, ...]
    """Parts in order."""

    def __post_init__(self) -> None:
        check_names('parts', [part.name for part in self.parts])

    @classmethod
    def joints(cls, count: int) -> Self:
        """Return the spec of joint positions alone, in the units of the robot file."""
        return cls((StatePart('joints', count, 'joint'),))

    @classmethod
    def from_dict(cls, value: object) -> Self:
        """Return the spec of a JSON object.

        Raises:
            ConfigError: a key is unknown or missing, or a value is unusable.
        """
        found = mapping_of('state spec', value, ('parts',), ('parts',))
        return cls(tuple(map(StatePart.from_dict, list_of('parts', found['parts']))))

    def to_dict(self) -> dict[str, object]:
        """Return a JSON object."""
        return {'parts': [part.to_dict() for part in self.parts]}

    @property
    def measured(self) -> int:
        """Measured values of all parts [1]."""
        return sum(part.measured for part in self.parts)

    def compatible(self, other: 'StateSpec') -> bool:
        """Return whether both specs have the same parts."""
        return self == other

    def diff(self, other: 'StateSpec', mine: str = 'this', its: str = 'the other') -> str:
        """Return that two specs differ, with both printed; '' if they are equal. Arguments as `ActionSpec.diff`."""
        return '' if self == other else f'the state specs differ. {mine}: {self.text}. {its}: {other.text}'

    @property
    def text(self) -> str:
        """The spec in one line."""
        return f'[{"; ".join(map(str, self.parts))}]'

    def check_measured(self, count: int) -> None:
        """Raise ConfigError if the parts do not take `count` measured values."""
        if self.measured != count:
            raise ConfigError(
                f'state = {self.text}: must take {count} measured values, one for each of joint_names, and takes '
                f'{self.measured}; correct the parts or joint_names'
            )
