#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Write type stubs of all generated ROS messages, so that mypy checks their fields.

    python tools/message_stubs.py FOLDER    # then set MYPYPATH=FOLDER, or mypy_path in pyproject.toml

The stubs come from the generated classes, so they always match the messages that run. Each package becomes
FOLDER/<package>/{msg,srv,action}/__init__.pyi. An array of numbers reads as array.array, or as a numpy array when its
size is fixed. Such a field also accepts any sequence of numbers, as the generated setters do.
"""

import re
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

from ament_index_python import get_resource, get_resources

HEADER = """\
import array
from collections.abc import Sequence
from typing import Any, ClassVar

from numpy.typing import NDArray
from rclpy.type_support import CommonMsgSrvMetaClass, MsgMetaClass
"""
NUMBERS = {'float': 'float', 'double': 'float', **{f'{u}int{n}': 'int' for u in ('u', '') for n in (8, 16, 32, 64)}}
SCALARS = NUMBERS | {'boolean': 'bool', 'octet': 'bytes', 'string': 'str', 'wstring': 'str'}


def python_types(idl: str) -> tuple[str, str]:
    """Return the types that a field reads as and accepts, for a type such as `sequence<float, 4096>`."""
    if found := re.fullmatch(r'sequence<(.+?)(, \d+)?>|(.+)\[\d+\]', idl):
        element, fixed = found[1] or found[3], bool(found[3])
        inner = python_types(element)[0]
        if element not in NUMBERS:
            return f'list[{inner}]', f'Sequence[{inner}]'
        if fixed:
            return 'NDArray[Any]', f'Sequence[{inner}] | NDArray[Any]'
        return f'array.array[{inner}]', f'Sequence[{inner}] | array.array[{inner}]'
    if '/' in idl:
        package, name = idl.split('/')
        scalar = f'{package}.msg.{name}' if '_' not in name else name.rpartition('_')[2]
    else:
        scalar = SCALARS[re.sub(r'<\d+>', '', idl)]
    return scalar, scalar


def message_stub(message: type, name: str, indent: str = '') -> tuple[list[str], set[str]]:
    """Return the lines of one message class and the packages it uses."""
    lines, arguments, packages = [], [], set()
    constants = getattr(type(message), f'_{type(message).__name__}__constants', {})
    lines += [f'{constant}: ClassVar[{type(value).__name__}]' for constant, value in constants.items()]
    for field, idl in message.get_fields_and_field_types().items():  # type: ignore[attr-defined] # generated
        packages |= set(re.findall(r'([a-z]\w*)/', idl))
        reads, accepts = python_types(idl)
        arguments.append(f'{field}: {accepts} = ...')
        if reads == accepts:
            lines.append(f'{field}: {reads}')
        else:
            lines += ['@property', f'def {field}(self) -> {reads}: ...']
            lines += [f'@{field}.setter', f'def {field}(self, value: {accepts}) -> None: ...']
    keywords = ', '.join(['self', '*', *arguments, 'check_fields: bool = ...'])
    lines += [f'def __init__({keywords}) -> None: ...', '@classmethod']
    lines.append('def get_fields_and_field_types(cls) -> dict[str, str]: ...')
    body = [f'{indent}    {line}' for line in lines]
    return [f'{indent}class {name}(metaclass=MsgMetaClass):', *body], packages


def stub(kind: str, name: str, module: ModuleType) -> tuple[list[str], set[str]]:
    """Return the lines of one message, service or action, and the packages it uses."""
    interface = getattr(module, name)
    if kind == 'msg':
        return message_stub(interface, name)
    lines, packages = [f'class {name}(metaclass=CommonMsgSrvMetaClass):'], set()
    for part in ('Request', 'Response') if kind == 'srv' else ('Goal', 'Result', 'Feedback'):
        part_lines, part_packages = message_stub(getattr(interface, part), part, '    ')
        lines += part_lines
        packages |= part_packages
    if kind == 'action':
        lines.append('    Impl: ClassVar[Any]')
    return lines, packages


def write(folder: Path, package: str) -> None:
    """Write the stubs of one package."""
    listed = {Path(line).with_suffix('') for line in get_resource('rosidl_interfaces', package)[0].split()}
    for kind in sorted({str(path.parent) for path in listed}):
        module = import_module(f'{package}.{kind}')
        lines: list[str] = []
        packages: set[str] = set()
        for name in sorted(path.name for path in listed if str(path.parent) == kind):
            if hasattr(module, name):  # the index also lists the hidden parts of actions
                found, used = stub(kind, name, module)
                lines += found
                packages |= used
        file = folder / package / kind / '__init__.pyi'
        file.parent.mkdir(parents=True, exist_ok=True)
        imports = [f'import {used}.msg' for used in sorted(packages)]
        file.write_text('\n'.join([HEADER, *imports, '', *lines, '']))


if __name__ == '__main__':
    for each in get_resources('rosidl_interfaces'):
        write(Path(sys.argv[1]), each)
