# SPDX-License-Identifier: Apache-2.0
"""`aura topics`: list and echo topics, call services and send goals where the `ros2` command is not installed."""

import argparse

from aura_ros.common.arguments import make_parser, positive_integer
from aura_ros.common.errors import ConfigError, InputError
from aura_ros.common.program import end_on_signals, program

_DESCRIPTION = """\
Lists and echoes topics, calls services and sends action goals of a running ROS 2 graph. It works
where the `ros2` command is not installed; where it is, `ros2` does more (hz, bw, pub, param)."""

_EPILOG = """\
examples, while `aura launch demo.launch.yaml` runs in another terminal:
  aura topics list -t                            names and types
  aura topics echo /aura/write_event             every write of the memory
  aura topics echo /policy_status --once         the newest message
  aura topics echo /joint_states --field position --count 5
  aura topics call select_policy '{policy: POLICY_AURA}'
  aura topics goal run_episode '{instruction: "touch the red block"}'

The command uses ROS_DOMAIN_ID and ROS_AUTOMATIC_DISCOVERY_RANGE of the environment. A subscription
takes the quality of service of the publishers."""

_LIST_EPILOG = """\
examples:
  aura topics list
  aura topics list -t"""

_ECHO_EPILOG = """\
examples:
  aura topics echo /policy_status --once
  aura topics echo /joint_states --field position --count 5"""

_YAML_HELP = """\
YAML gives the fields that differ from their defaults, in one quoted word: '{policy: 1}', or nested:
'{header: {stamp: {sec: 5}}, data: [1, 2]}'. An integer may be given by its constant, such as
POLICY_KV. The command checks every field and value before it sends anything."""

_CALL_EPILOG = f"""\
examples:
  aura topics call select_policy '{{policy: 2}}'   0 base, 1 aura, 2 kv
  aura topics call aura/save_state               a request without fields
  aura topics call vla_node/get_parameters '{{names: [max_age_s]}}'
  aura topics call vla_node/change_state '{{transition: {{label: deactivate}}}}'
  aura topics call '?'                           list the services

{_YAML_HELP}

Exit code: 0 success, 1 an error or a response with `success: false`, 2 wrong use, 130 Ctrl-C."""

_GOAL_EPILOG = f"""\
examples:
  aura topics goal run_episode \\
      '{{instruction: "touch the red block", max_steps: 200}}'
  aura topics goal run_episode                   no limit: Ctrl-C cancels the goal
  aura topics goal '?'                           list the actions

{_YAML_HELP}

Feedback is printed at most once a second. The first Ctrl-C cancels the goal and waits for its result;
the second one exits at once.
Exit code: 0 the goal succeeded, 1 it failed or was cancelled, 2 wrong use, 130 second Ctrl-C."""


def _parser() -> argparse.ArgumentParser:
    parser = make_parser('aura topics', _DESCRIPTION, _EPILOG)
    commands = parser.add_subparsers(
        title='commands', metavar='COMMAND', dest='command', required=True, help='what to do'
    )

    command = commands.add_parser('list', help='list the names of all topics', epilog=_LIST_EPILOG)
    command.add_argument('-t', '--types', action='store_true', help='print the types too')

    command = commands.add_parser('echo', help='print the messages of a topic', epilog=_ECHO_EPILOG)
    command.add_argument('topic', metavar='TOPIC', help='for example /vla_step')
    length = command.add_mutually_exclusive_group()
    length.add_argument('--once', dest='count', action='store_const', const=1, help='exit after one message')
    length.add_argument(
        '--count', type=positive_integer, metavar='N', help='exit after N messages (default: Ctrl-C ends it)'
    )
    command.add_argument(
        '--field', metavar='F', help='print only this field, for example points[0].positions (default: all)'
    )
    _add_full(command)

    command = commands.add_parser('call', help='call a service', epilog=_CALL_EPILOG)
    command.add_argument('service', metavar='SERVICE', help='for example select_policy')
    _add_fields(command)

    command = commands.add_parser('goal', help='send an action goal and wait for it', epilog=_GOAL_EPILOG)
    command.add_argument('action', metavar='ACTION', help='for example run_episode')
    _add_fields(command)
    return parser


def _add_full(command: argparse.ArgumentParser) -> None:
    command.add_argument('--full', action='store_true', help='print long lists and texts in full')


def _add_fields(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        'fields', metavar='YAML', nargs='?', default='', help="for example '{policy: 1}' (default: no fields)"
    )
    _add_full(command)


@program('aura topics', wrong_use=(ConfigError, InputError))
def main(args: list[str] | None = None) -> int:
    """Run a command and return the exit code; a call or goal that does not succeed is a failure."""
    options = _parser().parse_args(args)
    end_on_signals()
    # Imported here because rclpy takes seconds to load on a busy machine; --help has to be quick.
    from aura_ros.ros.graph import open_graph
    from aura_ros.tools.topics.commands import COMMANDS

    with open_graph() as graph:
        return COMMANDS[options.command](graph, options)
