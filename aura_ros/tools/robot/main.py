# SPDX-License-Identifier: Apache-2.0
"""`aura robot`: write a robot file from a URDF or a preset, and check one."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from aura_ros.common.arguments import make_parser, number_in
from aura_ros.common.console import make_console
from aura_ros.common.errors import ConfigError
from aura_ros.common.files import replace_text
from aura_ros.common.program import end_on_signals, program
from aura_ros.common.text_files import read_text
from aura_ros.control.robot_file import check_text, read_robot_file
from aura_ros.tools.robot import files

_DESCRIPTION = """\
Writes the robot file of policy_switch_node: joints, units, limits, command topics. The values come from
a preset or from a URDF. No robot moves."""

_EPILOG = """\
examples:
  aura robot --list                                  the presets
  aura robot --preset ur5e --output my_ur5e.yaml     copy a preset
  aura robot --from-urdf my_arm.urdf --output my_arm.yaml
  aura robot --from-urdf /robot_description          from a topic
  aura robot --from-urdf my_arm.urdf --joints shoulder,elbow,wrist,finger
  aura robot --check my_arm.yaml                     check and show a file

A URDF has no order of the joints, no control rate and no controller, so check these values in the file.
Fixed and mimic joints are left out. velocity_max and step_max are a quarter of the URDF's velocity limits
unless --velocity-fraction gives another part. A xacro file needs xacro first: xacro FILE > my_arm.urdf

Exit code: 0 success, 1 an error, 2 wrong use or an unusable file, 130 Ctrl-C."""


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(',')]
    if not all(names):
        raise argparse.ArgumentTypeError(f'{text!r}: must be names with commas between them, such as shoulder,elbow')
    return names


def _preset(name: str) -> str:
    try:
        files.preset(name)
    except ConfigError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return name


def _parser() -> argparse.ArgumentParser:
    parser = make_parser('aura robot', _DESCRIPTION, _EPILOG)
    verb = parser.add_mutually_exclusive_group(required=True)
    verb.add_argument('--list', action='store_true', help='list the presets')
    verb.add_argument('--preset', type=_preset, metavar='NAME', help='print or copy a preset')
    verb.add_argument('--from-urdf', metavar='URDF', help='make a robot file from a URDF file or a topic')
    verb.add_argument('--check', metavar='FILE', type=Path, help='check a robot file and show its limits')
    parser.add_argument('--output', metavar='FILE', type=Path, help='write here (default: print); never overwrites')
    urdf = parser.add_argument_group('with --from-urdf')
    urdf.add_argument(
        '--joints',
        type=_names,
        default=[],
        metavar='A,B',
        help="joints in the order of the policy's action (default: the order of the URDF)",
    )
    urdf.add_argument(
        '--velocity-fraction',
        metavar='F',
        type=number_in(1e-3, 1.0),
        help="part of the URDF's velocity limits to allow, 0.001 to 1 (default: 0.25)",
    )
    urdf.add_argument(
        '--timeout',
        metavar='S',
        type=number_in(0.1, 3600.0),
        default=5.0,
        help='longest wait for the topic (default: 5) [s]',
    )
    return parser


def _from_urdf(options: argparse.Namespace) -> str:
    # Imported here because the parser belongs to an extra, and rclpy takes seconds to load on a busy machine.
    from aura_ros.tools.robot.urdf import read_urdf
    from aura_ros.tools.robot.writing import VELOCITY_FRACTION, robot_file

    given = options.from_urdf
    path = Path(given)
    if given.startswith('/') and not path.exists() and not path.suffix:
        from aura_ros.tools.robot.description import published_description

        text, source = published_description(given, options.timeout), given
    elif not path.exists():
        raise ConfigError(f'--from-urdf {given}: no such file; a topic begins with /, such as /robot_description')
    else:
        text, source = read_text(path), path.name
    robot = read_urdf(text, given, options.joints)
    made = robot_file(robot, source, options.velocity_fraction or VELOCITY_FRACTION)
    check_text(made, f'{given}, as a robot file')
    return made


def _write(text: str, path: Path | None) -> None:
    if path is None:
        print(text, end='')
        return
    if path.exists():
        raise ConfigError(f'--output {path}: exists already: give another name, or remove the file')
    replace_text(path, text)
    print(f'wrote {path}; compare it with your robot, then: aura robot --check {path}')


@program('aura robot')
def main(args: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    options = _parser().parse_args(args)
    end_on_signals()
    if options.list:
        found = files.presets()
        width = max(map(len, found))
        for name, path in found.items():
            print(f'{name:{width}}  {files.summary(path)}')
    elif options.check:
        from aura_ros.tools.robot.table import show

        show(read_robot_file(options.check), make_console())
    elif options.preset:
        _write(read_text(files.preset(options.preset)), options.output)
    else:
        _write(_from_urdf(options), options.output)
    return 0
