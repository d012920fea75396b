# SPDX-License-Identifier: Apache-2.0
"""The robot file of a Rosetta contract.

A contract gives joints, topics, message types and rate. It has no limits of speed and step, so these are under
`x-aura`, where every key of `robot` may be that the contract does not give.
"""

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from aura_ros.common.errors import ConfigError
from aura_ros.common.spec_fields import is_number
from aura_ros.control.contract import EXTRA, Contract, Source, parse_contract
from aura_ros.control.contract_actions import (
    COMMAND_TYPES,
    JOINT_STATE,
    OPERATORS,
    TWIST,
    commanded,
    joints_of,
    units_and_limits,
)
from aura_ros.control.outputs import BASE_UNITS, MAP_PREFIX
from aura_ros.control.values import strings

_GIVEN = ('joint_names', 'control_hz', 'joint_state_topics', 'outputs', 'command_type')
_NEEDED = ('velocity_max', 'step_max')
_IMAGES = 'observation.images.'


def robot_file_of(data: object) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the parsed robot file of a parsed contract, and notes on what it does not use.

    Raises:
        ConfigError: the contract is unusable, or a robot file has nothing for a value of it.
    """
    contract = parse_contract(data)
    joints = commanded(contract)
    states = _states(contract, joints)
    values: dict[str, Any] = {
        'joint_names': list(joints),
        'control_hz': contract.fps,
        'joint_state_topics': _state_topics(contract, states),
        **_outputs(contract),
    }
    for key in _extra_keys(contract, values):
        values[key] = contract.extra[key]
    if 'joint_max_age_s' not in values:
        values |= _ages(contract, states, joints)
    _add_maps(values, joints)
    _add_limits(values, joints)
    return {'/**': {'ros__parameters': {'robot': _floats(values)}}}, tuple(_notes(contract, states))


def _states(contract: Contract, joints: Mapping[str, Source]) -> dict[str, Source]:
    """Return the observation with the measured position of each joint.

    Raises:
        ConfigError: a joint has none, or it is not used as a robot file describes it.
    """
    found: dict[str, Source] = {}
    for state in contract.observations:
        for name in state.names if state.type == JOINT_STATE else ():
            part, dot, joint = name.partition('.')
            joint = joint if dot and part == 'position' else name
            if joint in joints and joint not in found:
                found[joint] = state
    measured = {joint: action for joint, action in joints.items() if action.type != TWIST}
    for joint, action in measured.items():
        if joint not in found:
            raise ConfigError(
                f'{action.where}: {joint} has no measured position: must be a position of an observation with the '
                f'type {JOINT_STATE}; add position.{joint} to one'
            )
        _check_state(joint, action, found[joint])
    return found


def _state_topics(contract: Contract, states: Mapping[str, Source]) -> list[str]:
    """Return the topics of the measured joints; for a base alone, those of all joint states."""
    used = states.values() or [state for state in contract.observations if state.type == JOINT_STATE]
    if not used:
        raise ConfigError(
            f'observations have no {JOINT_STATE}: must have one, because its stamps show that the robot is there; add '
            'the topic of the wheels'
        )
    return list(dict.fromkeys(state.topic for state in used))


def _check_state(joint: str, action: Source, state: Source) -> None:
    if state.code:
        raise ConfigError(
            f'{state.where}: decoder = {state.code!r}: must be left out for joints, because functions named in a '
            'contract are not run; remove it'
        )
    if state.timeline != 'header':
        raise ConfigError(
            f'{state.where}: timeline = {state.timeline!r}: must be header for joints, because their age counts from '
            'their stamp; correct it, and stamp the messages in the driver'
        )
    read, sent = (tuple(name for name, _ in source.apply) for source in (state, action))
    if 'clamp' in read or read.count('rad2deg') != sent.count('rad2deg') or set(read) - set(OPERATORS):
        raise ConfigError(
            f'{state.where}: apply = {list(read)} for {joint}, and its action has {list(sent)}: must be rad2deg in '
            'both or in none, without other operators; correct one of them'
        )


def _outputs(contract: Contract) -> dict[str, Any]:
    groups = {
        f'to_{re.sub("[^A-Za-z0-9]+", "_", action.topic).strip("_")}': {
            'joint_names': _in_output(action),
            'command_type': COMMAND_TYPES[action.type],
            'command_topic': action.topic,
        }
        for action in contract.actions
    }
    if len(groups) < len(contract.actions):
        topics = [action.topic for action in contract.actions]
        raise ConfigError(f'actions have the topics {", ".join(topics)}: must be a different one for each; join two')
    return {'outputs': list(groups), **groups}


def _in_output(action: Source) -> list[str]:
    """Return the joints of an output. Those of a base have a fixed order, whatever that of the action is."""
    joints = list(joints_of(action))
    return [axis for axis in BASE_UNITS if axis in joints] if action.type == TWIST else joints


def _extra_keys(contract: Contract, values: Mapping[str, Any]) -> list[str]:
    # A parameter file may write a key of a group as GROUP.KEY.
    groups = {group: part for group, part in values.items() if isinstance(part, Mapping)}
    given = {*_GIVEN, *values, *(f'{group}.{key}' for group, part in groups.items() for key in part)}
    for key in contract.extra:
        if key in given:
            raise ConfigError(f'{EXTRA}.{key} must be left out: the contract gives it; remove it')
    for key in _NEEDED:
        if key not in contract.extra:
            joints = ', '.join(values['joint_names'])
            raise ConfigError(
                f'{EXTRA}.{key} is missing: must be a list with one entry for each of {joints}; a contract has no '
                f'such limit, so add the group {EXTRA}, which Rosetta ignores, with the limits of the data sheet'
            )
    return list(contract.extra)


def _ages(contract: Contract, states: Mapping[str, Source], joints: Mapping[str, Source]) -> dict[str, list[float]]:
    """Return the oldest usable positions where the alignment limits them [s].

    The velocities of a base have the stamp of any message, so the largest age is theirs.
    """
    ages_s = {joint: _age(contract, state) for joint, state in states.items()}
    given = {joint: age_s for joint, age_s in ages_s.items() if age_s is not None}
    if given and len(given) < len(ages_s):
        names = [joint for joint, age_s in ages_s.items() if age_s is None]
        raise ConfigError(
            f'the alignment limits the age of some joints and not that of {", ".join(names)}: must be all or none; add '
            f'{EXTRA}.joint_max_age_s'
        )
    return {'joint_max_age_s': [given.get(joint, max(given.values())) for joint in joints]} if given else {}


def _age(contract: Contract, state: Source) -> float | None:
    if state.strategy == 'hold':
        return None
    return 1.0 / contract.fps if state.strategy == 'drop' else state.tolerance_ms * 1e-3


def _add_maps(values: dict[str, Any], joints: Mapping[str, Source]) -> None:
    turned = [joint for joint, action in joints.items() if units_and_limits(action)[0]]
    mapped = strings(f'{EXTRA}.mapped_joints', values.get('mapped_joints', ()))
    if twice := [joint for joint in turned if joint in mapped]:
        raise ConfigError(
            f'{EXTRA}.mapped_joints contains {twice[0]!r}: must not be a joint with rad2deg; remove one of the two'
        )
    groups = {key.partition('.')[0] for key in values}
    if twice := [joint for joint in turned if MAP_PREFIX + joint in groups]:
        raise ConfigError(
            f'{EXTRA}.{MAP_PREFIX}{twice[0]} must be left out: rad2deg gives the map of {twice[0]}; remove one of the '
            'two'
        )
    if turned:
        values['mapped_joints'] = [*mapped, *turned]
        values |= {f'{MAP_PREFIX}{joint}': {'policy': [0.0, 180.0], 'robot': [0.0, math.pi]} for joint in turned}


def _add_limits(values: dict[str, Any], joints: Mapping[str, Source]) -> None:
    """Narrow the position limits to those of the clamps; clamps of all joints replace missing limits."""
    lows, highs = zip(*(units_and_limits(action)[1:] for action in joints.values()), strict=True)
    for key, ends, choose in (('position_lower', lows, max), ('position_upper', highs, min)):
        given = values.get(key, ends)
        if not isinstance(given, list | tuple) or len(given) != len(ends) or not all(map(is_number, given)):
            joint = next((joint for joint, end in zip(joints, ends, strict=True) if math.isinf(end)), '')
            if key in values or not joint:
                continue  # RobotConfig names what is wrong
            raise ConfigError(
                f'{joint} has no {key}: must be a clamp in its action, or an entry of {EXTRA}.{key}; add one of the two'
            )
        values[key] = [choose(one, float(end)) for one, end in zip(given, ends, strict=True)]


def _floats(value: Any) -> Any:
    """Return the values with floats in place of whole numbers, because ROS refuses lists of both."""
    if isinstance(value, Mapping):
        return {str(key): _floats(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_floats(one) for one in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _notes(contract: Contract, states: Mapping[str, Source]) -> Iterator[str]:
    images = [source for source in contract.observations if source.key.startswith(_IMAGES)]
    if images:
        pairs = ', '.join(f'{source.key.removeprefix(_IMAGES)}: {source.topic}' for source in images)
        yield f"cameras of the contract, for the launch file: cameras:='{{{pairs}}}'"
    used = [*images, *states.values()]
    unused = [source.where for source in contract.observations if source not in used]
    if left := [*unused, *contract.unread]:
        yield f'not read from the contract: {", ".join(left)}'
    # The arguments of an operator may be a mapping, so a source has no hash.
    for state in {state.where: state for state in states.values()}.values():
        if other := [name for name in state.names if name.removeprefix('position.') not in states]:
            yield f'not read from {state.where}: {", ".join(other)}'
