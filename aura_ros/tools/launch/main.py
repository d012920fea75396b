# SPDX-License-Identifier: Apache-2.0
"""`aura launch`: start a graph of nodes from its launch file."""

import argparse
import os
import shutil
import signal
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

from aura_ros.common.arguments import make_parser
from aura_ros.common.closing import closing_text
from aura_ros.common.console import PLAIN_WIDTH
from aura_ros.common.errors import ConfigError
from aura_ros.common.program import program
from aura_ros.ros.share import PACKAGE, share_folder
from aura_ros.tools.launch import reader, ros_launch
from aura_ros.tools.launch.guard import Guard
from aura_ros.tools.launch.plan import NodeProcess, Parameters, Plan

_DESCRIPTION = """\
Start a graph of nodes from its launch file and show their output. Ctrl-C or a closed terminal ends
them all, with a last hold and the state stored; Ctrl-C again 3 seconds later kills them. ROS launch
runs the file where it is installed, as in `ros2 launch`. Elsewhere the reader of aura_ros does: it
starts the same command lines and refuses everything that it does not support.
"""
_EXAMPLES = """\
examples:
  aura launch demo.launch.yaml                  what aura demo runs
  aura launch demo.launch.yaml rounds:=24       set an argument
  aura launch demo.launch.yaml --show-args      list its arguments
  aura launch aura.launch.yaml --print-command  only print the command lines
  aura launch some_package some.launch.yaml     a file of another package
  aura launch ./mine.launch.yaml                a file

exit code: the code of the node that ends the launch (on_exit: shutdown); otherwise 0 all nodes ended
well, 1 a node failed, 2 the launch file or an argument is wrong, 130 Ctrl-C, 129 terminal closed,
143 SIGTERM.
"""
_INDENT = ' ' * 6


def prepare_environment() -> None:
    """Set AMENT_PREFIX_PATH and PATH where no set-up script was sourced."""
    os.environ.setdefault('AMENT_PREFIX_PATH', sys.prefix)
    scripts = str(Path(sys.executable).parent)  # the executables begin with `#!/usr/bin/env python3`
    path = os.environ.get('PATH', os.defpath)
    if path.split(os.pathsep)[0] != scripts:
        os.environ['PATH'] = scripts + os.pathsep + path


def find_launch_file(words: Sequence[str]) -> Path:
    """Return the launch file for the words [PACKAGE] FILE: a path, or a file of the package.

    A file in the working folder never hides one of the package.

    Raises:
        ConfigError: the package or the file does not exist, with the existing files; or a name means two files.
    """
    *package, name = words
    here = Path(name)
    if not package and here.name != name and here.is_file():
        return here.absolute()
    folder = share_folder(package[0] if package else PACKAGE, 'launch')
    found = next((path for path in (folder / name, folder / f'{name}.launch.yaml') if path.is_file()), None)
    if not package and here.is_file():
        if found is not None and not here.samefile(found):
            raise ConfigError(
                f"'{name}' is a file here and in {folder}; write ./{name} for the one here, "
                f'or {PACKAGE} {name} for the one of the package'
            )
        return here.absolute()
    if found is not None:
        return found
    there = ', '.join(sorted(item.name for item in folder.glob('*.launch.*'))) or 'none'
    raise ConfigError(f"no launch file '{name}' here or in {folder}; available: {there}")


def _parser() -> argparse.ArgumentParser:
    parser = make_parser('aura launch', _DESCRIPTION, _EXAMPLES)
    parser.usage = 'aura launch [options] [PACKAGE] FILE [NAME:=VALUE ...]'
    parser.add_argument('words', nargs='*', metavar='FILE', help='launch file and its arguments')
    parser.add_argument('-s', '--show-args', action='store_true', help='show the arguments of the launch file')
    parser.add_argument('-p', '--print-command', action='store_true', help='print the command line of every node')
    parser.add_argument(
        '--force-own', action='store_true', help='use the reader of aura_ros although ROS launch is installed'
    )
    return parser


def _split(words: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    names = [word for word in words if ':=' not in word]
    given = dict(word.split(':=', 1) for word in words if ':=' in word)  # the last value counts, as in ros2 launch
    if not 1 <= len(names) <= 2:
        raise ConfigError(f'expected [PACKAGE] FILE and NAME:=VALUE words, got: {" ".join(words) or "nothing"}')
    return names, given


def _indented(text: str) -> str:
    """Return a text with an indent, wrapped if it goes to a terminal."""
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else PLAIN_WIDTH
    return textwrap.fill(text, width, initial_indent=_INDENT, subsequent_indent=_INDENT, break_long_words=False)


def _show_arguments(path: Path) -> None:
    print(f"Arguments of {path.name} ('name:=value'):")
    for argument in reader.describe(path).values():
        default = 'required' if argument.default is None else f"default '{argument.default}'"
        allowed = f'; allowed: {", ".join(argument.choices)}' if argument.choices else ''
        origin = f' [{argument.file.name}]' if argument.file.name != path.name else ''
        print(f'  {argument.name}{origin}')
        for text in (argument.description or 'no description', f'{default}{allowed}'):
            print(_indented(text))


def _print_commands(plan: Plan) -> None:
    for node in plan.nodes:
        print(f'[{node.label}] {node.shown()}')


def _run(path: Path, given: dict[str, str], use_own: bool) -> int:
    with Guard(), closing_text():
        if not use_own:
            return ros_launch.run(path, given)
        from aura_ros.tools.launch.runner import Runner  # honcho is needed only here

        return Runner(reader.read(path, given)).run()


def _check_panel(node: NodeProcess) -> None:
    """Check the parameters of the panel, which would otherwise report them when all nodes run."""
    if (node.package, node.executable) != (PACKAGE, 'panel'):
        return
    from aura_ros.tools.panel.main import check_parameters  # needs ROS

    files = [argument.content for argument in node.arguments if isinstance(argument, Parameters)]
    found: dict[str, object] = {}
    for parts in (part for file in files for part in file.values()):
        found |= parts['ros__parameters']
    check_parameters(found)


def launch(arguments: argparse.Namespace) -> int:
    """Carry out the parsed command line and return the exit code.

    Raises:
        ConfigError: the launch file or an argument is wrong.
    """
    names, given = _split(arguments.words)
    prepare_environment()
    path = find_launch_file(names)
    own_file = path.name.endswith('.launch.yaml')
    use_own = arguments.force_own or not ros_launch.available()
    if not own_file and (use_own or arguments.show_args or arguments.print_command):
        raise ConfigError(f'{path.name} needs ROS launch; use the .launch.yaml file that it includes')
    if arguments.show_args:
        _show_arguments(path)
        return 0
    # Read it even if ROS launch runs it: ROS launch silently accepts misspelt arguments.
    plan = reader.read(path, given) if own_file else Plan()
    for node in plan.nodes:
        node.program()
        _check_panel(node)
    if arguments.print_command:
        _print_commands(plan)
        return 0
    print(f'aura launch: {path}, by {"the reader of aura_ros" if use_own else "ROS launch"}', flush=True)
    return _run(path, given, use_own)


@program('aura launch')
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    parser = _parser()
    arguments = parser.parse_intermixed_args(argv)
    if not arguments.words:
        parser.error('name a launch file, for example demo.launch.yaml')
    # A shell without job control starts background jobs with SIGINT ignored, and the nodes would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    return launch(arguments)


if __name__ == '__main__':
    sys.exit(main())
