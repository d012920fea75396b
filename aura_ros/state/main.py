# SPDX-License-Identifier: Apache-2.0
"""aura state: inspect, verify, export and compare state files. It never writes to a state file."""

import argparse
import json
import sys
from pathlib import Path

from rich.console import Console

from aura_ros.common.arguments import make_parser
from aura_ros.common.console import make_console
from aura_ros.common.errors import AuraError, StateError
from aura_ros.common.program import program
from aura_ros.memory.weights import load_weights
from aura_ros.state.device import lock_holder
from aura_ros.state.format import Identity, SlotContent, arrays
from aura_ros.state.reading import read_state_file
from aura_ros.state.tables import compare, describe, print_difference, print_file

_DESCRIPTION = """\
memory_node keeps its memory in a state file, its parameter state_file. The file has two slots that are written in
turn, so one is intact whenever the power fails. This program only reads the file, also while the node is running."""
_EPILOG = """\
examples:
  aura state inspect ~/aura.state                content of both slots
  aura state inspect ~/aura.state --json         the same as JSON
  aura state verify ~/aura.state                 can it be restored? exit code 0: yes, 1: no
  aura state verify ~/aura.state --memory aura   with the weights that ship with this package?
  aura state export ~/aura.state w.safetensors   the arrays, with the header as metadata
  aura state export ~/aura.state w.bin           the bytes of the arrays alone
  aura state diff before.state after.state       which values changed, and by how much
  aura state diff ~/aura.state@0 ~/aura.state@1  the two slots of one file

FILE is the newest intact state of a file; FILE@0 and FILE@1 are the state of one slot.
To back up a state, copy the file and `verify` the copy. To delete a state, stop the node and remove the file.
docs/state.md describes the format, the guarantees and the wear of the storage."""


_STATE = 'state file: its newest state, or that of slot @0 or @1'


# As for diff and grep, 1 is an answer: the state is damaged, or two states differ. Any error is 2.
@program('aura state', wrong_use=(AuraError, OSError))
def main(arguments: list[str] | None = None) -> int:
    """Run one command.

    Returns:
        0 for an intact state or equal states, 1 for a damaged state or different states, 2 after an error.
    """
    options = _parser().parse_args(arguments)
    code: int = options.run(options, make_console())
    return code


def _parser() -> argparse.ArgumentParser:
    parser = make_parser('aura state', _DESCRIPTION, _EPILOG)
    commands = parser.add_subparsers(metavar='COMMAND', required=True, help='what to do')

    command = commands.add_parser(
        'inspect',
        help='show both slots: memory, step, age and damage',
        epilog='example: aura state inspect ~/aura.state --json',
    )
    command.add_argument('file', metavar='FILE', type=Path, help='state file')
    command.add_argument('--json', action='store_true', help='print JSON')
    command.set_defaults(run=_inspect)

    command = commands.add_parser(
        'verify',
        help='check whether the state can be restored: exit code 0 if so, else 1',
        epilog='example: aura state verify ~/aura.state --memory aura',
    )
    command.add_argument('file', metavar='FILE', type=Path, help='state file')
    command.add_argument(
        '--memory', metavar='KIND', help='the memory that it must belong to, for instance aura (default: any)'
    )
    command.add_argument(
        '--weights',
        metavar='PATH',
        help='weights of that memory, a .safetensors file (default: the weights of the package)',
    )
    command.add_argument('--strict', action='store_true', help='fail also if the other slot is damaged')
    command.set_defaults(run=_verify)

    command = commands.add_parser(
        'export',
        help='write the arrays of a state to a new file',
        epilog='example: aura state export ~/aura.state@0 old.safetensors',
    )
    command.add_argument('state', metavar='FILE[@SLOT]', help=_STATE)
    command.add_argument('output', metavar='OUTPUT', type=Path, help='.safetensors or .bin; must not exist')
    command.set_defaults(run=_export)

    command = commands.add_parser(
        'diff',
        help='compare two states: exit code 0 if their arrays are the same, else 1',
        epilog='example: aura state diff before.state after.state',
    )
    command.add_argument('first', metavar='FILE[@SLOT]', help=_STATE)
    command.add_argument('second', metavar='FILE[@SLOT]', help='the state to compare with it')
    command.set_defaults(run=_diff)
    return parser


def _inspect(options: argparse.Namespace, console: Console) -> int:
    found = read_state_file(options.file)
    if options.json:
        slots = [describe(content) for content in found.slots]
        newest = found.newest.slot if found.newest else None
        content = {'path': str(found.path), 'bytes': found.size, 'newest_slot': newest, 'problem': found.problem}
        print(json.dumps({**content, 'slots': slots}, indent=2))
    else:
        print_file(console, found, lock_holder(found.path))
    return 1 if found.problem else 0


def _verify(options: argparse.Namespace, console: Console) -> int:
    found = read_state_file(options.file)
    state, problem = found.newest, found.problem
    if state is None or state.snapshot is None or state.identity is None:
        problem = problem or 'nothing was saved yet'
    elif options.memory or options.weights:
        problem = _not_of(state.identity, options)
    if problem:
        console.print(f'{found.path}: {problem}', soft_wrap=True, markup=False)
        return 1
    assert state is not None and state.snapshot is not None and state.identity is not None
    text = (
        f'{found.path}: ok, step {state.snapshot.seq} of episode {state.snapshot.episode_id!r}, generation '
        f'{state.generation}, weights {state.identity.memory_hash.hex()[:12]}'
    )
    console.print(text + (f'; {found.damaged}' if found.damaged else ''), soft_wrap=True, markup=False)
    return 1 if found.damaged and options.strict else 0


def _not_of(identity: Identity, options: argparse.Namespace) -> str:
    """Return why the state does not belong to the memory of the options, '' if it does."""
    weights, memory_hash = load_weights(options.memory or 'aura', options.weights), identity.memory_hash.hex()
    if memory_hash == weights.sha256:
        return ''
    return f'belongs to the weights {memory_hash[:12]}, not to {weights.sha256[:12]}'


def _export(options: argparse.Namespace, console: Console) -> int:
    from safetensors.numpy import save

    content = _state(options.state)
    assert content.snapshot is not None and content.identity is not None
    output: Path = options.output
    if output.suffix == '.bin':
        data = content.snapshot.payload
    elif output.suffix == '.safetensors':
        parts = arrays(content.identity.layout, content.snapshot.payload)
        data = save(
            {f'array{index}': part for index, part in enumerate(parts)},
            {name: str(value) for name, value in describe(content).items()},
        )
    else:
        raise StateError(f'{output}: the name must end in .safetensors or .bin')
    with output.open('xb') as file:
        file.write(data)
    console.print(f'{output}: {len(data):,} bytes', soft_wrap=True, markup=False)
    return 0


def _diff(options: argparse.Namespace, console: Console) -> int:
    first, second = _state(options.first), _state(options.second)
    difference = compare(first, second)
    print_difference(console, (options.first, first), (options.second, second), difference)
    return 0 if difference.same else 1


def _state(name: str) -> SlotContent:
    """Return the state that FILE or FILE@SLOT names.

    Raises:
        StateError: if there is none.
    """
    path, _, slot = name.rpartition('@')
    if slot not in ('0', '1') or not path:
        path, slot = name, ''
    found = read_state_file(Path(path))
    if not slot:
        if found.problem or found.newest is None:
            raise StateError(f'{path}: {found.problem or "nothing was saved yet"}')
        return found.newest
    content = found.slots[int(slot)]
    if not content.valid:
        raise StateError(f'{path}: slot {slot} has no state: {content.damage or "it is empty"}')
    return content


if __name__ == '__main__':
    sys.exit(main())
