# SPDX-License-Identifier: Apache-2.0
"""The mapping file: the topics of a recording that are a backbone's cameras, joints, actions and instruction.

    cameras: {front: /camera/front/image_raw, wrist: /camera/wrist/image_raw/compressed}
    joints: /joint_states
    actions: /arm_controller/joint_trajectory
    instruction: {text: put the cube back}

docs/replay.md describes all keys.
"""

from collections.abc import Callable, Sequence
from collections.abc import Mapping as AnyMapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import yaml

from aura_ros.common.errors import ConfigError
from aura_ros.common.text import printable
from aura_ros.common.yaml_lines import Map, read_yaml
from aura_ros.control import JointMap, JointSources
from aura_ros.replay.steps.message_values import ACTION_TYPES

UNITS = {'rad': 1.0, 'deg': 0.017453292519943295, 'm': 1.0, 'mm': 1e-3}
"""Factor from each unit to the units of the package, rad and m."""
CLOCKS = ('stamp', 'arrival')
"""What dates a message: the stamp of its header, or its arrival at the recorder."""
_NOTE_LENGTH = 2000
_KINDS = ('auto', *ACTION_TYPES)


@dataclass(frozen=True)
class JointStream:
    """One source of the measured joint positions."""

    topic: str
    """Topic of JointState messages."""
    names: AnyMapping[str, str] = field(default_factory=dict)
    """Recorded name of each of the backbone's joints whose name differs."""
    unit: str = 'rad'
    """Unit of the recorded positions, one of UNITS."""
    clock: str = 'stamp'
    """What dates a message, one of CLOCKS."""


@dataclass(frozen=True)
class ActionStream:
    """One source of the recorded actions."""

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
    clock: str = 'stamp'
    """What dates a message, one of CLOCKS."""


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
    joints: tuple[JointStream, ...] = ()
    """Measured joint positions; several topics are merged by joint. Recorded steps need none."""
    actions: tuple[ActionStream, ...] = ()
    """Recorded actions, which the proposed ones are compared with; several topics are merged by joint."""
    instruction: Instruction = Instruction()
    """Instruction of the robot."""
    steps: str = ''
    """Topic of recorded VlaSteps, which replace the backbone if they fit; '' without them."""
    slop_s: float = 0.06
    """Largest distance between a part's stamp and the first camera's in one observation [s]."""
    max_joint_age_s: float = 0.0
    """Largest distance between a joint's stamp and the first camera's, in place of `slop_s`; 0 is `slop_s` [s]."""
    arrival_cameras: frozenset[str] = frozenset()
    """Cameras whose pictures are dated by their arrival; the others by their stamps."""
    sources: JointSources = field(default_factory=JointSources)
    """The maps of the robot file, from its units to those of the policy, for joints and actions."""

    @property
    def topics(self) -> tuple[str, ...]:
        """Every topic of the mapping, each once."""
        named = [*self.cameras.values(), *(stream.topic for stream in self.joints), self.instruction.topic, self.steps]
        return tuple(dict.fromkeys(filter(None, [*named, *(stream.topic for stream in self.actions)])))

    @property
    def by_arrival(self) -> frozenset[str]:
        """Topics whose messages are dated by their arrival."""
        cameras = [self.cameras[camera] for camera in self.arrival_cameras]
        joints = [stream.topic for stream in self.joints if stream.clock == 'arrival']
        return frozenset([*cameras, *joints, *(one.topic for one in self.actions if one.clock == 'arrival')])


T = TypeVar('T', JointStream, ActionStream)


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
        'cameras': {
            name: {'topic': topic, 'clock': 'arrival'} if name in mapping.arrival_cameras else topic
            for name, topic in mapping.cameras.items()
        },
        'joints': _plain_list(mapping.joints),
        'actions': _plain_list(mapping.actions),
        'instruction': _plain(mapping.instruction),
        'steps': mapping.steps,
    }
    data = {key: part for key, part in parts.items() if part} | {'slop_s': mapping.slop_s}
    if mapping.max_joint_age_s != Mapping.max_joint_age_s:
        data['max_joint_age_s'] = mapping.max_joint_age_s
    if maps := mapping.sources.maps:
        ends = {joint: {'policy': list(one.policy), 'robot': list(one.robot)} for joint, one in maps.items()}
        data['maps'] = ends
    text: str = yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=120)
    if not text.replace('\n', '').isprintable():  # a name from the recording; YAML reads the escapes
        text = yaml.safe_dump(data, sort_keys=False, width=120)
    return ''.join(f'# {printable(note, _NOTE_LENGTH)}\n' for note in notes) + text


def _plain_list(streams: Sequence[JointStream | ActionStream]) -> Any:
    """Streams as YAML: one by itself, several as a list."""
    return _plain(streams[0]) if len(streams) == 1 else [_plain(stream) for stream in streams]


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
        keys = ('cameras', 'joints', 'actions', 'instruction', 'steps', 'slop_s', 'max_joint_age_s', 'maps')
        self._keys(data, 'the file', keys)
        for key in ('cameras', 'joints'):
            if key not in data and 'steps' not in data:
                self._fail(1, key, 'nothing', 'present, unless steps is')
        cameras = self._cameras(data) if 'cameras' in data else {}
        age = 'max_joint_age_s'
        return Mapping(
            {name: camera['topic'] for name, camera in cameras.items()},
            self._list(data, 'joints', self._joints),
            self._list(data, 'actions', self._actions),
            self._instruction(data),
            self._text(data, 'steps') if 'steps' in data else '',
            self._number(data, 'slop_s', 0.0, 10.0) if 'slop_s' in data else Mapping.slop_s,
            self._number(data, age, 0.0, 3600.0) if age in data else Mapping.max_joint_age_s,
            frozenset(name for name, camera in cameras.items() if camera.get('clock') == 'arrival'),
            JointSources(maps=self._maps(data)),
        )

    def _maps(self, file: Map) -> dict[str, JointMap]:
        value = file.get('maps', {})
        if not isinstance(value, dict):
            form = 'lines of the form JOINT: {policy: [..], robot: [..]}'
            self._fail(file.lines['maps'], 'maps', value, form, 'maps')
        try:
            return {joint: JointMap.from_mapping(joint, ends) for joint, ends in value.items()}
        except ConfigError as error:
            raise ConfigError(f"{self._file}:{file.lines['maps']}: key 'maps': {error}") from error

    def _cameras(self, file: Map) -> dict[str, Map]:
        value = file['cameras']
        if not isinstance(value, Map) or not value:
            self._fail(file.lines['cameras'], 'cameras', value, 'lines of the form CAMERA: TOPIC', 'cameras')
        found = {}
        for name, camera in value.items():
            if not isinstance(camera, Map):
                self._text(value, name)
            found[name] = self._stream(value, name, ('topic', 'clock'))
            self._text(found[name], 'topic')
            self._choice(found[name], 'clock', CLOCKS, 'stamp')
        return found

    def _list(self, file: Map, key: str, read: Callable[[Map], T]) -> tuple[T, ...]:
        """One stream, or a list of streams with different topics."""
        if key not in file:
            return ()
        value = file[key]
        if isinstance(value, list) and not value:
            self._fail(file.lines[key], key, value, 'a topic, or a list of topics', key)
        blocks: list[Map] = []
        for part in value if isinstance(value, list) else [value]:
            block = Map({key: part})
            block.line, block.lines = file.lines[key], {key: file.lines[key]}
            blocks.append(block)
        streams = tuple(read(block) for block in blocks)
        topics = [stream.topic for stream in streams]
        if len(set(topics)) != len(topics):
            self._fail(file.lines[key], key, topics, 'different topics', key)
        return streams

    def _joints(self, file: Map) -> JointStream:
        data = self._stream(file, 'joints', ('topic', 'names', 'unit', 'clock'))
        names = self._names(data, 'names', 'BACKBONE_JOINT: RECORDED_JOINT') if 'names' in data else {}
        unit, clock = self._choice(data, 'unit', tuple(UNITS), 'rad'), self._choice(data, 'clock', CLOCKS, 'stamp')
        return JointStream(self._text(data, 'topic'), names, unit, clock)

    def _actions(self, file: Map) -> ActionStream:
        data = self._stream(file, 'actions', ('topic', 'kind', 'columns', 'unit', 'tolerance_s', 'clock'))
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
            self._number(data, 'tolerance_s', 0.0, 3600.0) if 'tolerance_s' in data else ActionStream.tolerance_s,
            self._choice(data, 'clock', CLOCKS, 'stamp'),
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

    def _names(self, data: Map, key: str, form: str) -> dict[str, str]:
        value = data[key]
        if not isinstance(value, Map):
            self._fail(data.lines[key], key, value, f'lines of the form {form}', key)
        return {name: self._text(value, name) for name in value}

    def _fail(self, line: int, where: str, value: Any, allowed: str, key: str = '') -> NoReturn:
        name = f"key '{key}'" if key else where
        raise ConfigError(f'{self._file}:{line}: {name}: {value!r} is not allowed: must be {allowed}')
