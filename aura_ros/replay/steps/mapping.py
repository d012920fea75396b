# SPDX-License-Identifier: Apache-2.0
"""The mapping file: the topics of a recording that are a backbone's cameras, joints, actions and instruction.

    cameras: {front: /camera/front/image_raw, wrist: /camera/wrist/image_raw/compressed}
    joints: /joint_states
    actions: /arm_controller/joint_trajectory
    instruction: {text: put the cube back}

docs/replay.md describes all keys.
"""

from collections.abc import Mapping as AnyMapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import yaml

from aura_ros.common.errors import ConfigError
from aura_ros.common.text import printable
from aura_ros.common.yaml_lines import Map, read_yaml
from aura_ros.replay.steps.message_values import ACTION_TYPES

UNITS = {'rad': 1.0, 'deg': 0.017453292519943295, 'm': 1.0, 'mm': 1e-3}
"""Factor from each unit to the units of the package, rad and m."""
_NOTE_LENGTH = 2000
_KINDS = ('auto', *ACTION_TYPES)


@dataclass(frozen=True)
class JointStream:
    """Source of the measured joint positions."""

    topic: str
    """Topic of JointState messages."""
    names: AnyMapping[str, str] = field(default_factory=dict)
    """Recorded name of each of the backbone's joints whose name differs."""
    unit: str = 'rad'
    """Unit of the recorded positions, one of UNITS."""


@dataclass(frozen=True)
class ActionStream:
    """Source of the recorded actions."""

    topic: str
    """Topic of the robot's commands."""
    kind: str = 'auto'
    """One of ACTION_TYPES, or 'auto' for the kind of the topic's type."""
    columns: AnyMapping[str, str] | tuple[str, ...] = ()
    """Recorded name of each of the backbone's joints whose name differs.

    For messages without names (Float64MultiArray), the backbone's joints in the order of the values.
    """
    unit: str = 'rad'
    """Unit of the recorded values, one of UNITS."""
    tolerance_s: float = 0.2
    """How long an action stays in force when none follows [s]."""


@dataclass(frozen=True)
class Instruction:
    """Source of the instruction: a topic or a text."""

    topic: str = ''
    """Topic of String messages."""
    text: str = ''
    """Text for the whole recording."""


@dataclass(frozen=True)
class Mapping:
    """Roles of the topics of a recording."""

    cameras: AnyMapping[str, str]
    """Topic of each of the backbone's cameras; several cameras can share one. Recorded steps need no cameras."""
    joints: JointStream
    """Measured joint positions. Recorded steps need no topic here."""
    actions: ActionStream | None = None
    """Recorded actions, which the proposed ones are compared with; None without them."""
    instruction: Instruction = Instruction()
    """Instruction of the robot."""
    steps: str = ''
    """Topic of recorded VlaSteps, which replace the backbone if they fit; '' without them."""
    slop_s: float = 0.06
    """Largest distance between a part's stamp and the first camera's in one observation [s]."""

    @property
    def topics(self) -> tuple[str, ...]:
        """Every topic of the mapping, each once."""
        named = [*self.cameras.values(), self.joints.topic, self.instruction.topic, self.steps]
        named += [self.actions.topic] if self.actions else []
        return tuple(dict.fromkeys(filter(None, named)))


def load_mapping(path: str | Path) -> Mapping:
    """Read a mapping file.

    Raises:
        ConfigError: the file is missing or not YAML, or a key or value is not allowed; the text names file, line
            and key.
    """
    file = Path(path)
    return _Reader(file).mapping(read_yaml(file))


def as_yaml(mapping: Mapping, notes: tuple[str, ...] = ()) -> str:
    """Return the text of a mapping file, with notes as comments; `load_mapping` reads it."""
    parts = {
        'cameras': dict(mapping.cameras),
        'joints': _plain(mapping.joints) if mapping.joints.topic else '',
        'actions': _plain(mapping.actions) if mapping.actions else '',
        'instruction': _plain(mapping.instruction),
        'steps': mapping.steps,
    }
    data = {key: part for key, part in parts.items() if part} | {'slop_s': mapping.slop_s}
    text: str = yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=120)
    if not text.replace('\n', '').isprintable():  # a name from the recording; YAML reads the escapes
        text = yaml.safe_dump(data, sort_keys=False, width=120)
    return ''.join(f'# {printable(note, _NOTE_LENGTH)}\n' for note in notes) + text


def _plain(stream: JointStream | ActionStream | Instruction) -> Any:
    """A stream as YAML: its topic, or a block with every value that differs from the default."""
    plain = Instruction() if isinstance(stream, Instruction) else type(stream)('')
    found: dict[str, Any] = {}
    for name, value in vars(stream).items():
        if value != getattr(plain, name):
            nested = isinstance(value, AnyMapping)
            found[name] = dict(value) if nested else list(value) if isinstance(value, tuple) else value
    return stream.topic if list(found) == ['topic'] else found


class _Reader:
    """Checks YAML and makes a mapping of it."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def mapping(self, data: Any) -> Mapping:
        if not isinstance(data, Map):
            self._fail(1, 'the file', data, "'key: value' lines with cameras and joints")
        self._keys(data, 'the file', ('cameras', 'joints', 'actions', 'instruction', 'steps', 'slop_s'))
        for key in ('cameras', 'joints'):
            if key not in data and 'steps' not in data:
                self._fail(1, key, 'nothing', 'present, unless steps is')
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

    def _stream(self, data: Map, key: str, keys: tuple[str, ...], needed: tuple[str, ...] = ('topic',)) -> Map:
        """A topic, or a block with a topic."""
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
            self._fail(data.lines[key], key, value, 'a non-empty text', key)
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
