# SPDX-License-Identifier: Apache-2.0
"""The robot file as text: the parameters of policy_switch_node in a ROS parameter file, or a Rosetta contract.

No ROS.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import yaml

from aura_ros.common.errors import ConfigError
from aura_ros.common.text_files import loading
from aura_ros.common.yaml_lines import parse_mapping, parse_yaml, read_yaml
from aura_ros.control.contract import is_contract
from aura_ros.control.contract_robot import robot_file_of
from aura_ros.control.robot import RobotConfig

NODE = 'policy_switch_node'
_COMMAND_TOPIC = 'joint_command'


@dataclass(frozen=True)
class CheckedFile:
    """The checked content of a robot file."""

    robot: RobotConfig
    command_topic: str
    """Topic of a robot file without `outputs`."""
    notes: tuple[str, ...] = ()
    """What a Rosetta contract has and a robot file has not; () for another file."""


def read_robot_file(path: Path) -> CheckedFile:
    """Return the checked content of a robot file.

    Raises:
        ConfigError: the file is not a robot file, or a value is unusable; the text names it.
    """
    return _checked(read_yaml(path), str(path))


def from_contract(text: str, name: str) -> str | None:
    """Return the robot file of a Rosetta contract as YAML; None for other text.

    Args:
        text: content of a file.
        name: its name, for the text of an error.

    Raises:
        ConfigError: the contract is unusable; the text names the value.
    """
    # Only the parser of ROS decides on a parameter file.
    if 'ros__parameters' in text or not is_contract(parse_yaml(text, name)):
        return None
    # As in `read_robot_file`, a key that is given twice is refused.
    data, _ = _without_contract(parse_mapping(text, name, 'a Rosetta contract'), name)
    _checked(data, name)
    return yaml.safe_dump(data, sort_keys=False)


def check_text(text: str, name: str) -> None:
    """Raise ConfigError if policy_switch_node would refuse this text of a robot file."""
    _checked(parse_yaml(text, name), name)


def parameters(data: object, name: str) -> dict[str, object]:
    """Return the parameters that parsed YAML gives to policy_switch_node, with names such as `robot.joint_names`.

    Raises:
        ConfigError: the data is not a ROS parameter file, or ROS would refuse a list in it.
    """
    found: dict[str, object] = {}
    for node, section in data.items() if isinstance(data, Mapping) else ():
        values = section.get('ros__parameters') if isinstance(section, Mapping) else None
        if str(node).rsplit('/', 1)[-1] in ('**', '*', NODE) and isinstance(values, Mapping):
            found |= dict(_flat(values, ''))
    if not found:
        raise ConfigError(f"{name}: has no parameters for {NODE}: must begin with '/**:' and 'ros__parameters:'")
    for key, value in found.items():
        _check_list(name, key, value)
    return found


def from_parameters(given: Mapping[str, object], name: str) -> CheckedFile:
    """Return the robot of flat parameters, such as `robot.joint_names`; `name` is for the text of an error.

    Raises:
        ConfigError: a value is missing or unusable.
    """
    groups = _nested(given)
    values = groups.get('robot')
    if not isinstance(values, dict):
        raise ConfigError(f"{name}: has no group 'robot': must list the joints and their limits")
    with loading(name):
        try:
            robot = RobotConfig.from_mapping(values)
        except ConfigError as error:
            raise ConfigError(f'{name}: {error}') from error
    return CheckedFile(robot, str(given.get('command_topic', _COMMAND_TOPIC)))


def _checked(data: object, name: str) -> CheckedFile:
    data, notes = _without_contract(data, name)
    return replace(from_parameters(parameters(data, name), name), notes=notes)


def _without_contract(data: object, name: str) -> tuple[object, tuple[str, ...]]:
    """Return the data with a contract replaced by its robot file, and the notes on it."""
    if not is_contract(data):
        return data, ()
    with loading(name):
        try:
            return robot_file_of(data)
        except ConfigError as error:
            raise ConfigError(f'{name}: {error}') from error


def _flat(values: Mapping[str, object], prefix: str) -> Iterator[tuple[str, object]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f'{prefix}{name}.')
        else:
            yield f'{prefix}{name}', value


def _nested(flat: Mapping[str, object]) -> dict[str, object]:
    """Return parameters as groups in groups, whichever way the file writes them."""
    root: dict[str, object] = {}
    for name, value in flat.items():
        *groups, last = name.split('.')
        place = root
        for group in groups:
            inner = place.setdefault(group, {})
            if not isinstance(inner, dict):
                raise ConfigError(f'{name}: {group} is a parameter and a group: must be one of the two')
            place = inner
        place[last] = value
    return root


def _check_list(source: str, name: str, value: object) -> None:
    # The parser of ROS refuses such a list in a sentence without the name of the parameter.
    kinds = {type(entry) for entry in value} if isinstance(value, list) else set()
    if len(kinds) > 1:
        text = 'write every number with a decimal point, such as 0.0' if kinds == {int, float} else 'use one type'
        raise ConfigError(f'{source}: {name} = {value!r} mixes {_names(kinds)}, which ROS refuses: {text}')


def _names(kinds: set[type]) -> str:
    return ' and '.join(sorted(kind.__name__ for kind in kinds))
