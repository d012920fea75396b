# SPDX-License-Identifier: Apache-2.0
"""The numbers of ActionComponent.msg, and components from messages, live or recorded. No ROS."""

from typing import Any

from aura_ros.common.action_spec import ENDS, MODES, ActionComponent
from aura_ros.common.errors import ConfigError, InputError
from aura_ros.common.spec_fields import FRAMES, KINDS, ROTATIONS

CODES: dict[str, tuple[str, ...]] = {
    'kind': KINDS,
    'mode': MODES,
    'rotation': ('', *ROTATIONS),
    'frame': ('', *FRAMES),
    'closes': ENDS,
}
"""Values of each coded field; the place of a value is its number in the message."""


def code(field: str, value: str) -> int:
    """Return the number of a value of a coded field."""
    return CODES[field].index(value)


def components_of(message: Any, action_dim: int) -> tuple[ActionComponent, ...]:
    """Return the components of a VlaStep or ActionChunk; () for absolute joint targets.

    Args:
        message: live or recorded. A message of version 0.1.0 has no components, and means absolute joint targets.
        action_dim: columns of an action, which the components have to fill.

    Raises:
        InputError: a number or value is not allowed, or the components do not have `action_dim` columns.
    """
    found = getattr(message, 'components', ())
    if not found:
        return ()
    try:
        components = tuple(map(_component, found))
    except ConfigError as error:
        raise InputError(str(error)) from error
    if (dims := sum(component.dims for component in components)) != action_dim:
        raise InputError(f'the components have {dims} columns: must be action_dim = {action_dim}')
    return components


def _component(message: Any) -> ActionComponent:
    coded: dict[str, str] = {}
    for field, values in CODES.items():
        number = int(getattr(message, field))
        if number >= len(values):
            raise ConfigError(f'action component.{field} = {number}: must be 0..{len(values) - 1}; correct the sender')
        coded[field] = values[number]
    ends = tuple(map(float, message.range))
    if len(ends) not in (0, 2):
        raise ConfigError(f'action component.range = {list(ends)}: must have no or two values; correct the sender')
    return ActionComponent(
        name=str(message.name),
        dims=int(message.dims),
        unit=str(message.unit),
        range=(ends[0], ends[1]) if ends else None,
        binary=bool(message.binary),
        **coded,
    )
