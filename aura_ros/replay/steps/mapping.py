# SPDX-License-Identifier: Apache-2.0
"""The mapping file: which topics of a recording are a backbone's cameras, joints, actions and instruction.

    cameras: {front: /camera/front/image_raw, wrist: /camera/wrist/image_raw/compressed}
    joints: /joint_states
    actions: /arm_controller/joint_trajectory
    instruction: {text: put the cube back}

docs/replay.md says what else may stand in it.
"""

from __future__ import annotations

from collections.abc import Mapping as AnyMapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import yaml

from aura_ros.common.errors import ConfigError
from aura_ros.common.yaml_lines import Map, read_yaml
from aura_ros.replay.steps.message_values import ACTION_TYPES

# To the units of the package, rad and m.
UNITS = {'rad': 1.0, 'deg': 0.017453292519943295, 'm': 1.0, 'mm': 1e-3}
_KINDS = ('auto', *ACTION_TYPES)


@dataclass(frozen=True)
class JointStream:
    """Where measured joint positions come from.

    topic: of JointState messages.
    names: the recording's name of each of the backbone's joints, where it differs.
    unit: of the recorded positions, one of UNITS.
    """

    topic: str
    names: AnyMapping[str, str] = field(default_factory=dict)
    unit: str = 'rad'


@dataclass(frozen=True)
class ActionStream:
    """Where recorded actions come from.

    topic: of the commands the robot was given.
    kind: one of ACTION_TYPES, or 'auto': by the topic's type.
    columns: the recording's name of each column, where it differs from the backbone's joint; or, where the messages
        name nothing (Float64MultiArray), the backbone's joints in the order of the values.
    unit: of the recorded values, one of UNITS.
    tolerance_s: how long an action stays in force when no other follows it [s].
    """

    topic: str
    kind: str = 'auto'
    columns: AnyMapping[str, str] | tuple[str, ...] = ()
    unit: str = 'rad'
    tolerance_s: float = 0.2


@dataclass(frozen=True)
class Instruction:
    """What the robot was told: a topic of String messages, or one text for the whole recording."""

    topic: str = ''
    text: str = ''


@dataclass(frozen=True)
class Mapping:
    """Which topics of a recording are what.

    cameras: topic of each of the backbone's cameras; one topic may serve several. None are needed for recorded steps.
    joints: measured joint positions; its topic is '' where none are needed.
    actions: recorded actions, to compare with; None where there are none.
    instruction: what the robot was told.
    steps: topic of recorded VlaSteps, used in place of the backbone where they fit; '' where there are none.
    slop_s: largest distance of a stamp from the first camera's in one observation [s].
    """

    cameras: AnyMapping[str, str]
    joints: JointStream
    actions: ActionStream | None = None
    instruction: Instruction = Instruction()
    steps: str = ''
    slop_s: float = 0.06

    @property
    def topics(self) -> tuple[str, ...]:
        """Every topic named, each once."""
        named = [*self.cameras.values(), self.joints.topic, self.instruction.topic, self.steps]
        named += [self.actions.topic] if self.actions else []
        return tuple(dict.fromkeys(filter(None, named)))


def load_mapping(path: str | Path) -> Mapping:
    """Read a mapping file.

    Raises:
        ConfigError: it is missing, is no YAML, or has a key or value that is not allowed; names file, line, key.
    """
    file = Path(path)
    return _Reader(file).mapping(read_yaml(file))


def as_yaml(mapping: Mapping, notes: tuple[str, ...] = ()) -> str:
    """The mapping as the text of a file that `load_mapping` reads back, with notes as comments."""
    data: dict[str, Any] = {}
    if mapping.cameras:
        data['cameras'] = dict(mapping.cameras)
    if mapping.joints.topic:
        data['joints'] = _plain(mapping.joints)
    if mapping.actions is not None:
        data['actions'] = _plain(mapping.actions)
    if mapping.instruction != Instruction():
        data['instruction'] = _plain(mapping.instruction)
    if mapping.steps:
        data['steps'] = mapping.steps
    data['slop_s'] = mapping.slop_s
    text: str = yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=120)
    return ''.join(f'# {note}\n' for note in notes) + text


def _plain(stream: JointStream | ActionStream | Instruction) -> Any:
    """A stream as YAML: what differs from the defaults, and its topic alone where nothing does."""
    plain = Instruction() if isinstance(stream, Instruction) else type(stream)('')
    found: dict[str, Any] = {}
    for name, value in vars(stream).items():
        if value != getattr(plain, name):
            nested = isinstance(value, AnyMapping)
            found[name] = dict(value) if nested else list(value) if isinstance(value, tuple) else value
    return stream.topic if list(found) == ['topic'] else found


class _Reader:
    """Turns checked YAML into a mapping."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def mapping(self, data: Any) -> Mapping:
        if not isinstance(data, Map):
            self._fail(1, 'the file', data, "'key: value' lines, cameras and joints among them")
        self._keys(data, 'the file', ('cameras', 'joints', 'actions', 'instruction', 'steps', 'slop_s'))
        for key in ('cameras', 'joints'):
            if key not in data and 'steps' not in data:
                self._fail(1, key, 'nothing', 'there, unless steps are')
        return Mapping(
            self._names(data, 'cameras', 'CAMERA: TOPIC', empty=False) if 'cameras' in data else {},
            self._joints(data) if 'joints' in data else JointStream(''),
            self._actions(data) if 'actions' in data else None,
            self._instruction(data),
            self._text(data, 'steps') if 'steps' in data else '',
            self._number(data, 'slop_s', 0.0, 10.0) if 'slop_s' in data else Mapping.slop_s,
        )

    def _joints(self, file: Map) -> JointStream:
        data = self._stream(file, 'joints', ('topic', 'names', 'unit'))
        names = self._names(data, 'names', 'BACKBONE_JOINT: RECORDED_JOINT') if 'names' in data else {}
        return JointStream(self._text(data, 'topic'), names, self._choice(data, 'unit', tuple(UNITS), 'rad'))

    def _actions(self, file: Map) -> ActionStream:
        data = self._stream(file, 'actions', ('topic', 'kind', 'columns', 'unit', 'tolerance_s'))
        columns: AnyMapping[str, str] | tuple[str, ...] = ()
        if isinstance(data.get('columns'), list):
            columns = tuple(data['columns'])
            if not all(isinstance(name, str) for name in columns) or len(set(columns)) != len(columns):
                self._fail(data.lines['columns'], 'columns', list(columns), 'different names', 'columns')
        elif 'columns' in data:
            columns = self._names(data, 'columns', 'BACKBONE_JOINT: RECORDED_COLUMN, or a list of names')
        return ActionStream(
            self._text(data, 'topic'),
            self._choice(data, 'kind', _KINDS, 'auto'),
            columns,
            self._choice(data, 'unit', tuple(UNITS), 'rad'),
            self._number(data, 'tolerance_s', 0.0, 10.0) if 'tolerance_s' in data else ActionStream.tolerance_s,
        )

    def _instruction(self, data: Map) -> Instruction:
        if 'instruction' not in data:
            return Instruction()
        found = self._stream(data, 'instruction', ('topic', 'text'), needed=())
        if ('topic' in found) == ('text' in found):
            self._fail(data.lines['instruction'], 'instruction', dict(found), 'either a topic or a text', 'instruction')
        return Instruction(**{key: self._text(found, key) for key in found})

    # Parts. ---------------------------------------------------------------------------------------------------------
    def _stream(self, data: Map, key: str, keys: tuple[str, ...], needed: tuple[str, ...] = ('topic',)) -> Map:
        """A topic alone, or a block that has one."""
        value = data[key]
        if isinstance(value, str):
            block = Map(topic=value)
            block.line, block.lines = data.lines[key], {'topic': data.lines[key]}
            return block
        if not isinstance(value, Map):
            self._fail(data.lines[key], key, value, f'a topic, or a block of {", ".join(keys)}', key)
        self._keys(value, key, keys)
        for name in needed:
            if name not in value:
                self._fail(value.line, key, dict(value), f"the key '{name}'", key)
        return value

    def _keys(self, data: Map, where: str, allowed: tuple[str, ...]) -> None:
        for key in data:
            if key not in allowed:
                self._fail(data.lines[key], where, 'it', f'one of {", ".join(allowed)}', key)

    def _text(self, data: Map, key: str) -> str:
        value = data[key]
        if not isinstance(value, str) or not value.strip():
            self._fail(data.lines[key], key, value, 'a text that is not empty', key)
        return value

    def _choice(self, data: Map, key: str, allowed: tuple[str, ...], default: str) -> str:
        value = data.get(key, default)
        if value not in allowed:
            self._fail(data.lines[key], key, value, f'one of {", ".join(allowed)}', key)
        return str(value)

    def _number(self, data: Map, key: str, low: float, high: float) -> float:
        value = data[key]
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            self._fail(data.lines[key], key, value, f'a number in {low:g}..{high:g} [s]', key)
        return float(value)

    def _names(self, data: Map, key: str, form: str, empty: bool = True) -> dict[str, str]:
        value = data[key]
        if not isinstance(value, Map) or not (value or empty):
            self._fail(data.lines[key], key, value, f'lines of the form {form}', key)
        return {name: self._text(value, name) for name in value}

    def _fail(self, line: int, where: str, value: Any, allowed: str, key: str = '') -> NoReturn:
        name = f"key '{key}'" if key else where
        raise ConfigError(f'{self._file}:{line}: {name}: {value!r} is not allowed: must be {allowed}')
