# SPDX-License-Identifier: Apache-2.0
"""A contract of Rosetta (https://github.com/iblnkn/rosetta): topics, fields and alignment of a robot for LeRobot.

Two formats are read: mappings by key with `channel` and `select`, and the older lists with `topic` or `publish` and
`selector`. A contract can name Python functions. They are never imported.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from aura_ros.common.errors import ConfigError
from aura_ros.common.spec_fields import is_number, list_of, mapping_of, one_of

EXTRA = 'x-aura'
"""Key with what a contract cannot say. Rosetta ignores keys that begin with x-."""
STRATEGIES = ('hold', 'asof', 'drop')
TIMELINES = ('header', 'receive')
SAFETIES = ('none', 'hold', 'zeros')

_READ = ('robot_type', 'robot_interface', 'fps', 'observations', 'actions')
_LARGEST = 1e6
# Parts about datasets, teleoperation and recording. A robot file has nothing for them.
_UNREAD = (
    'adjunct', 'complementary_data', 'info', 'max_duration_s', 'name', 'recording', 'reset', 'rewards', 'signals',
    'tasks', 'teleop', 'timestamp_source', 'version', 'visualization',
)  # fmt: skip
_CHANNEL = ('topic', 'type', 'qos', 'dtype', 'decoder')
_SOURCE = ('channel', 'align', 'select', 'apply', 'kind')
_OLD_OBSERVATION = ('key', 'topic', 'type', 'selector', 'image', 'align', 'qos', 'dtype', 'decoder')
_OLD_ACTION = ('key', 'publish', 'selector', 'from_tensor', 'safety_behavior', 'dtype', 'decoder', 'encoder')


@dataclass(frozen=True)
class Source:
    """One topic of a contract, and what is read from it or written to it."""

    where: str
    """Place in the contract, for errors."""
    key: str
    """Name of the values in a dataset, such as observation.state."""
    topic: str
    type: str
    """Message type, such as sensor_msgs/msg/JointState."""
    names: tuple[str, ...]
    """Selected fields, in the order of the values."""
    apply: tuple[tuple[str, object], ...] = ()
    """Operators from the message to the dataset, each a name and its arguments."""
    strategy: str = 'hold'
    """One of STRATEGIES."""
    timeline: str = 'header'
    """One of TIMELINES."""
    tolerance_ms: float = 0.0
    """Oldest usable value of the strategy asof [ms]."""
    safety: str = 'none'
    """What is sent in a stop, one of SAFETIES; actions only."""
    kind: str = 'continuous'
    """Form of the values."""
    code: str = ''
    """Python function that converts the message; '' for none."""


@dataclass(frozen=True)
class Contract:
    """The parts of a contract that describe the robot."""

    fps: float
    """Actions per second [Hz]."""
    observations: tuple[Source, ...]
    actions: tuple[Source, ...]
    """Sources in the order of the action vector."""
    extra: Mapping[str, object] = field(default_factory=dict)
    """Values of EXTRA."""
    unread: tuple[str, ...] = ()
    """Sections that are not read."""


def is_contract(data: object) -> bool:
    """Return whether parsed YAML is a Rosetta contract, and not a ROS parameter file."""
    return isinstance(data, Mapping) and 'actions' in data and ('robot_type' in data or 'observations' in data)


def parse_contract(data: object) -> Contract:
    """Return the contract of parsed YAML.

    Raises:
        ConfigError: a key is unknown or missing, or a value is unusable.
    """
    known = (*_READ, *_UNREAD, 'rate_hz', EXTRA)
    plain = {key: value for key, value in _mapping('contract', data).items() if not _is_extra(key)}
    found = mapping_of('contract', plain, known, ('observations', 'actions'))
    one_of('robot_interface', found.get('robot_interface', 'ros2'), ('ros2',), 'use a contract for ROS 2')
    rate = 'fps' if 'fps' in found else 'rate_hz'
    fps = found.get(rate)
    if not is_number(fps) or not 0 < fps <= 1000:  # type: ignore[operator]  # is_number checks
        raise ConfigError(
            f'{rate} = {fps!r}: must be a number above 0 and at most 1000 Hz; give the rate of the actions'
        )
    return Contract(
        fps=float(fps),  # type: ignore[arg-type]  # is_number checks
        observations=tuple(_sources('observations', found['observations'])),
        actions=tuple(_sources('actions', found['actions'])),
        extra={str(key): value for key, value in _mapping(EXTRA, found.get(EXTRA, {})).items()},
        unread=tuple(key for key in found if key in _UNREAD and found[key]),
    )


def _is_extra(key: object) -> bool:
    return isinstance(key, str) and key.startswith('x-') and key != EXTRA


def _sources(section: str, value: object) -> Iterator[Source]:
    if isinstance(value, list):
        for number, entry in enumerate(value):
            make = _old_action if section == 'actions' else _old_observation
            yield make(f'{section}[{number}]', entry)
        return
    for key, entry in _mapping(section, value).items():
        where = f'{section}.{key}'
        if not isinstance(entry, list):
            yield _source(where, str(key), entry, section == 'actions')
            continue
        for number, part in enumerate(entry):
            yield _source(f'{where}[{number}]', str(key), part, section == 'actions')


def _source(where: str, key: str, value: object, is_action: bool) -> Source:
    found = mapping_of(where, value, _SOURCE, ('channel',))
    known = (*_CHANNEL, 'encoder', 'safety') if is_action else _CHANNEL
    channel = mapping_of(f'{where}.channel', found['channel'], known, ('topic', 'type'))
    align = mapping_of(f'{where}.align', found.get('align') or {}, ('strategy', 'timeline', 'tolerance_ms'), ())
    operators = list_of(f'{where}.apply', found.get('apply') or [])
    return Source(
        where=where,
        key=key,
        topic=_text(f'{where}.channel.topic', channel['topic']),
        type=_text(f'{where}.channel.type', channel['type']),
        names=_names(f'{where}.select', found.get('select')),
        apply=tuple(_operator(f'{where}.apply[{number}]', one) for number, one in enumerate(operators)),
        strategy=_one_of(f'{where}.align.strategy', align.get('strategy', 'hold'), STRATEGIES),
        timeline=_one_of(f'{where}.align.timeline', align.get('timeline', 'header'), TIMELINES),
        tolerance_ms=_milliseconds(f'{where}.align.tolerance_ms', align.get('tolerance_ms', 0)),
        safety=_one_of(f'{where}.channel.safety', channel.get('safety', 'none'), SAFETIES),
        kind=_text(f'{where}.kind', found.get('kind', 'continuous')),
        code=str(channel.get('encoder' if is_action else 'decoder') or ''),
    )


def _old_observation(where: str, value: object) -> Source:
    found = mapping_of(where, value, _OLD_OBSERVATION, ('key', 'topic', 'type'))
    align = mapping_of(f'{where}.align', found.get('align') or {}, ('strategy', 'stamp', 'tol_ms'), ())
    return Source(
        where=where,
        key=_text(f'{where}.key', found['key']),
        topic=_text(f'{where}.topic', found['topic']),
        type=_text(f'{where}.type', found['type']),
        names=_selector(where, found.get('selector')),
        strategy=_one_of(f'{where}.align.strategy', align.get('strategy', 'hold'), STRATEGIES),
        timeline=_one_of(f'{where}.align.stamp', align.get('stamp', 'header'), TIMELINES),
        tolerance_ms=_milliseconds(f'{where}.align.tol_ms', align.get('tol_ms', 0)),
        code=str(found.get('decoder') or ''),
    )


def _old_action(where: str, value: object) -> Source:
    found = mapping_of(where, value, _OLD_ACTION, ('key', 'publish'))
    known = ('topic', 'type', 'qos', 'layout', 'strategy')
    publish = mapping_of(f'{where}.publish', found['publish'], known, ('topic', 'type'))
    clamp = mapping_of(f'{where}.from_tensor', found.get('from_tensor') or {}, ('clamp',), ()).get('clamp')
    apply: tuple[tuple[str, object], ...] = ()
    if clamp is not None:
        ends = list_of(f'{where}.from_tensor.clamp', clamp)
        if len(ends) != 2:
            raise ConfigError(f'{where}.from_tensor.clamp = {ends!r}: must be two numbers; correct it')
        apply = (('clamp', {'min': ends[0], 'max': ends[1]}),)
    return Source(
        where=where,
        key=_text(f'{where}.key', found['key']),
        topic=_text(f'{where}.publish.topic', publish['topic']),
        type=_text(f'{where}.publish.type', publish['type']),
        names=_selector(where, found.get('selector')),
        apply=apply,
        safety=_one_of(f'{where}.safety_behavior', found.get('safety_behavior', 'none'), SAFETIES),
        code=str(found.get('encoder') or ''),
    )


def _selector(where: str, value: object) -> tuple[str, ...]:
    selector = mapping_of(f'{where}.selector', value or {}, ('names',), ())
    return _names(f'{where}.selector.names', selector.get('names'))


def _names(where: str, value: object) -> tuple[str, ...]:
    entries = list_of(where, value or [])
    for entry in entries:
        _text(where, entry)
    return tuple(map(str, entries))


def _operator(where: str, value: object) -> tuple[str, object]:
    if isinstance(value, str):
        return value, None
    if isinstance(value, Mapping) and len(value) == 1:
        ((name, arguments),) = value.items()
        return str(name), arguments
    raise ConfigError(f'{where} = {value!r}: must be the name of an operator, or a mapping with one name; correct it')


def _mapping(where: str, value: object) -> Mapping[object, object]:
    if not isinstance(value, Mapping):
        raise ConfigError(f'{where} = {value!r}: must be a mapping; correct it')
    return value


def _text(where: str, value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ConfigError(f'{where} = {value!r}: must be text; correct it')
    return value


def _one_of(where: str, value: object, allowed: tuple[str, ...]) -> str:
    one_of(where, value, allowed, 'correct it')
    return str(value)


def _milliseconds(where: str, value: object) -> float:
    return _number(where, value, 'milliseconds')


def _number(where: str, value: object, unit: str) -> float:
    if not isinstance(value, int | float) or not is_number(value) or not 0 <= value <= _LARGEST:
        raise ConfigError(f'{where} = {value!r}: must be a number in 0..{_LARGEST:,.0f} {unit}; correct it')
    return float(value)
