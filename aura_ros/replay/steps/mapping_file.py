# SPDX-License-Identifier: Apache-2.0
"""The mapping file.

    cameras: {front: /camera/front/image_raw, wrist: /camera/wrist/image_raw/compressed}
    joints: /joint_states
    actions: /arm_controller/joint_trajectory
    instruction: {text: put the cube back}

docs/replay.md describes all keys.
"""

from collections.abc import Callable, Sequence
from collections.abc import Mapping as AnyMapping
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import yaml

from aura_ros.common.errors import ConfigError
from aura_ros.common.text import printable
from aura_ros.common.yaml_lines import Map, read_yaml
from aura_ros.control.robot_file import read_robot_file
from aura_ros.control.sources import JointMap, JointSources
from aura_ros.control.values import is_finite
from aura_ros.replay.steps.mapping import CLOCKS, UNITS, ActionStream, Instruction, JointStream, Mapping
from aura_ros.replay.steps.message_values import ACTION_TYPES

_NOTE_LENGTH = 2000
_KINDS = ('auto', *ACTION_TYPES)
_KEYS = (
    'cameras',
    'joints',
    'actions',
    'instruction',
    'steps',
    'slop_s',
    'max_joint_age_s',
    'joint_max_age_s',
    'action_names',
    'maps',
    'rotation_middle',
    'per_unit',
    'robot',
)

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
    if mapping.action_names:
        data['action_names'] = list(mapping.action_names)
    if maps := mapping.sources.maps:
        data['maps'] = {
            joint: {'policy': list(one.policy), 'robot': list(one.robot)}
            | ({'measured': one.measured} if one.measured else {})
            for joint, one in maps.items()
        }
    if mapping.sources.max_age_s:
        data['joint_max_age_s'] = dict(mapping.sources.max_age_s)
    if mapping.rotation_middle:
        data['rotation_middle'] = list(mapping.rotation_middle)
    if any(mapping.per_unit):
        data['per_unit'] = list(mapping.per_unit)
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
        self._keys(data, 'the file', _KEYS)
        for key, others in (('cameras', ('steps',)), ('joints', ('steps', 'robot'))):
            if key not in data and not data.keys() & set(others):
                self._fail(1, key, 'nothing', f'present, unless {" or ".join(others)} is')
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
            JointSources(max_age_s=self._ages(data), maps=self._maps(data)),
            self._different(data, 'action_names') if 'action_names' in data else (),
            read_robot_file(self._file.parent / self._text(data, 'robot')) if 'robot' in data else None,
            self._finite(data, 'rotation_middle', 3, 'three finite numbers [rad]'),
            self._per_unit(data),
        )

    def _ages(self, file: Map) -> dict[str, float]:
        key = 'joint_max_age_s'
        value = file.get(key, Map())
        if not isinstance(value, Map):
            self._fail(file.lines[key], key, value, 'lines of the form JOINT: SECONDS', key)
        return {joint: self._number(value, joint, 0.001, 60.0) for joint in value}

    def _finite(self, file: Map, key: str, count: int, allowed: str) -> tuple[float, ...]:
        value = file.get(key, [])
        if key in file and not (isinstance(value, list) and len(value) == count and all(map(is_finite, value))):
            self._fail(file.lines[key], key, value, allowed, key)
        return tuple(float(part) for part in value)

    def _per_unit(self, file: Map) -> tuple[float, float]:
        key, allowed = 'per_unit', 'two numbers >= 0, translation [m] and rotation [rad] for the value 1'
        translation, rotation = self._finite(file, key, 2, allowed) or (0.0, 0.0)
        if translation < 0.0 or rotation < 0.0:
            self._fail(file.lines[key], key, file[key], allowed, key)
        return translation, rotation

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
        data = self._stream(file, 'actions', ('topic', 'kind', 'columns', 'unit', 'tolerance_s', 'clock', 'only'))
        columns: AnyMapping[str, str] | tuple[str, ...] = ()
        if isinstance(data.get('columns'), list):
            columns = self._different(data, 'columns')
        elif 'columns' in data:
            columns = self._names(data, 'columns', 'BACKBONE_JOINT: RECORDED_COLUMN, or a list of names')
        return ActionStream(
            self._text(data, 'topic'),
            self._choice(data, 'kind', _KINDS, 'auto'),
            columns,
            self._choice(data, 'unit', tuple(UNITS), 'rad'),
            self._number(data, 'tolerance_s', 0.0, 3600.0) if 'tolerance_s' in data else ActionStream.tolerance_s,
            self._choice(data, 'clock', CLOCKS, 'stamp'),
            self._different(data, 'only') if 'only' in data else (),
        )

    def _different(self, data: Map, key: str) -> tuple[str, ...]:
        value = data[key]
        texts = value if isinstance(value, list) and all(isinstance(name, str) for name in value) else []
        if not texts or len(set(texts)) != len(texts):
            self._fail(data.lines[key], key, value, 'a list of different names', key)
        return tuple(texts)

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
