# SPDX-License-Identifier: Apache-2.0
"""Node parameters from frozen dataclasses: a field gives type, default, unit, range and description.

    @dataclass(frozen=True)
    class Config:
        rate: float = parameter(20.0, 'Control rate', unit='Hz', low=1.0, high=1000.0)

`ParameterSet(node, Config)` declares all fields with descriptors for `ros2 param describe`. `read()` returns a checked
`Config`. A bad value from a parameter file does not end the process at declaration: `read()` reports it when the node
is configured.
"""

from __future__ import annotations

import argparse
import array
import math
from collections.abc import Callable, Sequence
from dataclasses import Field, dataclass, field, fields
from typing import Any, Generic, TypeVar, cast

import yaml
from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, SetParametersResult
from rclpy.node import Node
from rclpy.parameter import Parameter

from aura_ros.common.errors import ConfigError

T = TypeVar('T')
_KEY = 'aura_ros.parameter'


@dataclass(frozen=True)
class _Rule:
    kind: Parameter.Type
    text: str
    unit: str
    low: float | None
    high: float | None
    choices: tuple[str, ...]
    live: bool = False
    at_start: bool = False

    def allowed(self) -> str:
        """Return the allowed values as text."""
        unit = f' [{self.unit}]' if self.unit else ''
        if self.choices:
            return 'one of ' + ', '.join(f"'{choice}'" for choice in self.choices)
        if self.low is not None:
            return f'{_NAMES[self.kind]} in {self.low:g}..{self.high:g}{unit}'
        return _NAMES[self.kind] + unit

    def accept(self, value: object) -> tuple[object, bool]:
        """Return the value and whether it is allowed; integers become floats where the parameter is a float."""
        if self.kind is Parameter.Type.DOUBLE and type(value) is int:
            value = float(value)
        if self.kind is Parameter.Type.DOUBLE_ARRAY and isinstance(value, list | array.array):
            whole_or_real = all(type(entry) in (int, float) for entry in value)
            value = [float(entry) for entry in value] if whole_or_real else value
        if Parameter.Type.from_parameter_value(cast(Any, value)) is not self.kind:
            return value, False
        if self.low is not None and self.high is not None:
            number = cast(float, value)
            return value, math.isfinite(number) and self.low <= number <= self.high
        return value, not self.choices or value in self.choices


_NAMES = {
    Parameter.Type.BOOL: 'true or false',
    Parameter.Type.INTEGER: 'an integer',
    Parameter.Type.DOUBLE: 'a number',
    Parameter.Type.STRING: 'a string',
    Parameter.Type.STRING_ARRAY: 'a list of strings',
    Parameter.Type.DOUBLE_ARRAY: 'a list of numbers',
}
_SCALARS = {
    bool: Parameter.Type.BOOL,
    int: Parameter.Type.INTEGER,
    float: Parameter.Type.DOUBLE,
    str: Parameter.Type.STRING,
}


def parameter(
    default: T,
    text: str,
    *,
    unit: str = '',
    low: float | None = None,
    high: float | None = None,
    choices: Sequence[str] = (),
    live: bool = False,
    at_start: bool = False,
) -> T:
    """Return a dataclass field that is also a ROS parameter; give `low` and `high` together.

    A `live` parameter may change while the node is configured; the node reads it at each use. A parameter `at_start`
    can only be set on the command line or by a launch file, never over the graph. It names code or a file, so that
    whoever changes it can run code or overwrite files.
    """
    rule = _Rule(_SCALARS[type(default)], text, unit, low, high, tuple(choices), live, at_start)
    return field(default=default, metadata={_KEY: rule})


def text_of(item: Field[Any]) -> str:
    """Return the text of a field made by `parameter`, `strings` or `numbers`."""
    rule: _Rule = item.metadata[_KEY]
    return rule.text


def argument_of(item: Field[Any]) -> Callable[[str], str]:
    """Return a converter for argparse that checks a text by the rule of a field, and keeps the text."""
    rule: _Rule = item.metadata[_KEY]

    def convert(text: str) -> str:
        try:
            value = text if rule.kind is Parameter.Type.STRING else yaml.safe_load(text)
        except yaml.YAMLError:
            value = text
        if isinstance(value, dict | list) or value is None or not rule.accept(value)[1]:
            raise argparse.ArgumentTypeError(f'{text!r}: must be {rule.allowed()}')
        return text

    return convert


def strings(text: str, default: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Return a dataclass field that is also a ROS string array; unset it is `()`."""
    rule = _Rule(Parameter.Type.STRING_ARRAY, text, '', None, None, ())
    return field(default=default, metadata={_KEY: rule})


def numbers(text: str, *, unit: str = '') -> tuple[float, ...]:
    """Return a dataclass field that is also a ROS double array; unset it is `()`."""
    rule = _Rule(Parameter.Type.DOUBLE_ARRAY, text, unit, None, None, ())
    return cast('tuple[float, ...]', field(default=(), metadata={_KEY: rule}))


def _descriptor(rule: _Rule) -> ParameterDescriptor:
    descriptor = ParameterDescriptor(
        description=rule.text + (f' [{rule.unit}]' if rule.unit else ''),
        additional_constraints=rule.allowed() if rule.choices else '',
        read_only=rule.at_start,
    )
    if rule.low is not None and rule.high is not None:
        if rule.kind is Parameter.Type.INTEGER:
            whole = IntegerRange(from_value=int(rule.low), to_value=int(rule.high), step=1)
            descriptor.integer_range = [whole]
        else:
            descriptor.floating_point_range = [
                FloatingPointRange(from_value=float(rule.low), to_value=float(rule.high), step=0.0)
            ]
    return descriptor


class ParameterSet(Generic[T]):
    """The parameters of one dataclass on one node. Executor thread only."""

    def __init__(
        self, node: Node, schema: type[T], locked: Callable[[], bool] = lambda: False, prefix: str = ''
    ) -> None:
        """Declare every field of `schema`.

        Args:
            node: the node that owns the parameters.
            schema: frozen dataclass, its fields made with `parameter`, `strings` or `numbers`.
            locked: returns whether the values are in use, so that only `live` ones may change.
            prefix: of the parameter names, such as 'robot.'.
        """
        self._node = node
        self._schema = schema
        self._locked = locked
        self._fields = {prefix + spec.name: spec for spec in fields(cast(Any, schema))}
        self._refused: dict[str, str] = {}
        for name, spec in self._fields.items():
            self._declare(name, spec)
        node.add_on_set_parameters_callback(self._check_change)

    def _declare(self, name: str, spec: Field[Any]) -> None:
        rule: _Rule = spec.metadata[_KEY]
        default = list(spec.default) if isinstance(spec.default, tuple) else spec.default
        # rclpy raises here for a bad override. Its private map is the only record of the given values.
        override = self._node._parameter_overrides.get(name)
        value = default
        if override is not None:
            value, good = rule.accept(override.value)
            if not good:
                self._refused[name] = self._text(name, rule, value)
                value = default
        self._node.declare_parameter(name, rule.kind if value == [] else value, _descriptor(rule), ignore_override=True)

    @staticmethod
    def _text(name: str, rule: _Rule, value: object) -> str:
        then = 'start again' if rule.at_start else 'configure'
        return f"parameter '{name}' is {value!r}: must be {rule.allowed()}; correct it and {then}"

    def _check_change(self, parameters: list[Parameter[Any]]) -> SetParametersResult:
        known = [changed for changed in parameters if changed.name in self._fields]
        for changed in known:
            rule: _Rule = self._fields[changed.name].metadata[_KEY]
            if self._locked() and not rule.live:
                reason = f"'{changed.name}' is in use: clean up the node, set it, then configure the node"
                return SetParametersResult(successful=False, reason=reason)
            if not rule.accept(changed.value)[1]:
                reason = self._text(changed.name, rule, changed.value)
                return SetParametersResult(successful=False, reason=reason)
        for changed in known:
            self._refused.pop(changed.name, None)
        return SetParametersResult(successful=True)

    def read(self) -> T:
        """Return the current values.

        Raises:
            ConfigError: values given at start have the wrong type or are out of range; the text lists all of them.
        """
        if self._refused:
            raise ConfigError('; '.join(self._refused.values()))
        values: dict[str, object] = {}
        for name, spec in self._fields.items():
            # get_parameter raises for an array that was never set.
            stored = self._node.get_parameter_or(name, None)
            value = spec.default if stored is None or stored.value is None else stored.value
            values[spec.name] = tuple(cast(Any, value)) if isinstance(spec.default, tuple) else value
        return self._schema(**values)
