# SPDX-License-Identifier: Apache-2.0
"""Fields of a request or a goal from YAML. The conversion is strict: nothing is guessed, truncated or rounded."""

import json
import re
from contextlib import suppress
from typing import Any

from aura_ros.common.errors import ConfigError, InputError
from aura_ros.common.text import cut
from aura_ros.common.yaml_lines import parse_yaml
from aura_ros.ros.graph import message_class
from aura_ros.tools.topics.text import LIST_TYPE, constants, is_message

_INTEGER = re.compile(r'(?P<unsigned>u?)int(?P<bits>8|16|32|64)')
_TEXT = re.compile(r'w?string(<(?P<longest>\d+)>)?')
_LARGEST_FLOAT32 = 3.4028235e38


def filled(kind: Any, text: str) -> Any:
    """Return a message of class `kind` with the fields of the YAML `text`.

    Other fields keep their defaults. An integer may be given by the name of its constant.

    Raises:
        InputError: the text is not YAML, a field does not exist, or a value does not fit its field.
    """
    try:
        data = parse_yaml(text, 'fields')
    except ConfigError as error:
        raise InputError(f"fields '{cut(text)}' are not valid YAML such as '{{policy: 1}}': {error}") from error
    message = kind()
    _fill(message, {} if data is None else data, '')
    return message


def _fill(message: Any, data: Any, path: str) -> None:
    kinds = message.get_fields_and_field_types()
    allowed = ', '.join(f'{name} ({kind})' for name, kind in kinds.items()) or 'none'
    where = f"field '{path}'" if path else 'the fields'
    if not isinstance(data, dict):
        raise InputError(
            f"{where} = {_shown(data)}: must be '{{name: value}}' with fields of {type(message).__name__}: {allowed}"
        )
    for name, value in data.items():
        full = f'{path}.{name}' if path else str(name)
        if name not in kinds:
            hint = '; YAML needs a space after the colon' if ':' in str(name) else ''
            raise InputError(f"field '{full}' = {_shown(value)}: {type(message).__name__} has {allowed}{hint}")
        inner = getattr(message, name)
        if is_message(inner):
            _fill(inner, value, full)
        else:
            setattr(message, name, _value(kinds[name], value, full, constants(message, name)))


def _value(kind: str, data: Any, path: str, names: dict[Any, str]) -> Any:
    """Return `data` converted to the type `kind` of a field."""
    if match := LIST_TYPE.fullmatch(kind):
        return _list(match, data, path, names)
    if '/' in kind:
        message = message_class(kind.replace('/', '/msg/'))()
        _fill(message, data, path)
        return message
    if match := _INTEGER.fullmatch(kind):
        return _integer(int(match['bits']), bool(match['unsigned']), data, path, names)
    if kind == 'octet':
        return bytes([_integer(8, True, data, path, names)])
    if kind in ('float', 'double'):
        return _real(kind, data, path)
    if kind == 'boolean':
        _require(isinstance(data, bool), path, data, 'true or false')
        return data
    text = _TEXT.fullmatch(kind)
    if text is None:
        raise InputError(f"field '{path}': values of type {kind} are not supported")
    longest = text['longest']
    fits = isinstance(data, str) and (longest is None or len(data.encode()) <= int(longest))
    limit = f' of at most {longest} bytes' if longest else ''
    _require(fits, path, data, f'text{limit}, in quotes if YAML reads it as another type')
    return data


def _list(match: re.Match[str], data: Any, path: str, names: dict[Any, str]) -> list[Any]:
    of = match['of'] or match['of_array']
    count = len(data) if isinstance(data, list) else -1
    limit, fits = '', count >= 0
    if match['length']:
        limit, fits = f' of {match["length"]} entries', count == int(match['length'])
    elif match['most']:
        limit, fits = f' of at most {match["most"]} entries', 0 <= count <= int(match['most'])
    _require(fits, path, data, f'a list{limit} of type {of}')
    return [_value(of, entry, f'{path}[{at}]', names) for at, entry in enumerate(data)]


def _integer(bits: int, unsigned: bool, data: Any, path: str, names: dict[Any, str]) -> int:
    low, high = (0, 2**bits - 1) if unsigned else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    numbers = {name: number for number, name in names.items()}
    number = numbers.get(data, data) if isinstance(data, str) else data
    # bool is a subclass of int
    whole = isinstance(number, int) and not isinstance(number, bool)
    meaning = ', '.join(f'{number} {name}' for number, name in names.items())
    allowed = f'an integer from {low} to {high}{f": {meaning}" if names else ""}'
    _require(whole and low <= number <= high, path, data, allowed)
    return int(number)


def _real(kind: str, data: Any, path: str) -> float:
    number = data
    if isinstance(data, str):  # YAML 1.1 reads 1e-3 as a string
        with suppress(ValueError):  # refused below, like every string
            number = float(data)
    real = isinstance(number, int | float) and not isinstance(number, bool)
    infinite = real and number in (float('inf'), float('-inf'))
    fits = real and (kind == 'double' or infinite or not abs(number) > _LARGEST_FLOAT32)
    _require(fits, path, data, f'a number{" that a float32 can hold" if kind == "float" else ""}')
    return float(number)


def _require(fits: bool, path: str, data: Any, allowed: str) -> None:
    if not fits:
        raise InputError(f"field '{path}' = {_shown(data)}: must be {allowed}")


def _shown(data: Any) -> str:
    return json.dumps(data, ensure_ascii=False, default=str)
