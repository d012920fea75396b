# SPDX-License-Identifier: Apache-2.0
"""aura-topics: look at the running graph and drive it by hand, where there is no `ros2` command."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from typing import Any

from aura_ros.common.errors import AuraError

_DESCRIPTION = """\
Shows the topics of the running ROS 2 graph. Without a command: a table of all topics with their
publishers, rate and the age of the last message, twice a second (plain lines every 2 s where
stdout is no terminal). Ctrl-C ends. `call` and `goal` ask something of a node, by hand."""

_EPILOG = """\
examples, in a shell of `./run shell` while `./run demo` runs in another:
  aura-topics                                    everything at a glance
  aura-topics list -t                            names and types
  aura-topics echo /aura/write_event             each write of the memory
  aura-topics echo /policy_status --once            the newest message, then end
  aura-topics echo /joint_states --field position --count 5
  aura-topics echo /diagnostics --field status[0].message
  aura-topics hz /vla_step                       rate and jitter, once a second
  aura-topics call select_policy '{policy: POLICY_AURA}'  who drives
  aura-topics call aura/save_state               the memory into its file, now
  aura-topics goal run_episode '{instruction: "touch the red block", max_steps: 200}'

Topics are found on the ROS domain of the environment (ROS_DOMAIN_ID, and for other machines
ROS_AUTOMATIC_DISCOVERY_RANGE). Rates and ages are in wall time, also when the graph runs on
simulated time; ages rely on the publisher's clock. The quality of service is that of the
publishers. Where ROS 2's command line is installed, `ros2 topic` does more: pub, info, bw, find."""

_YAML_HELP = """\
YAML gives the fields that shall not be zero or empty, in one quoted word: '{policy: 1}', nested as
'{header: {stamp: {sec: 5}}, data: [1, 2]}'. An integer may be given by its constant, as POLICY_KV. A
wrong field or value is refused before anything is sent, and what is allowed is named."""

_CALL_EPILOG = f"""\
examples:
  aura-topics call select_policy '{{policy: 2}}'         0 base, 1 aura, 2 kv
  aura-topics call aura/save_state               no fields: none to give
  aura-topics call vla_node/get_parameters '{{names: [max_age_s]}}'
  aura-topics call vla_node/change_state '{{transition: {{label: deactivate}}}}'
  aura-topics call '?'                           the services there are

{_YAML_HELP}

Exit code: 0 answered, 1 an error or an answer with `success: false`, 130 Ctrl-C."""

_GOAL_EPILOG = f"""\
examples:
  aura-topics goal run_episode '{{instruction: "touch the red block", max_steps: 200}}'
  aura-topics goal run_episode                   without end: Ctrl-C cancels it
  aura-topics goal '?'                           the actions there are

{_YAML_HELP}

Feedback is shown once a second at most. Ctrl-C cancels the goal and waits for its result, a second
one leaves. Exit code: 0 the goal succeeded, 1 it did not or was cancelled, 130 left early."""

_RAW: dict[str, Any] = {'formatter_class': argparse.RawDescriptionHelpFormatter}


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' must be a whole number of at least 1")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog='aura-topics', description=_DESCRIPTION, epilog=_EPILOG, **_RAW)
    # looking has no end of its own: Ctrl-C is the way to end it
    parser.set_defaults(command='table', interrupted=0)
    commands = parser.add_subparsers(title='commands', metavar='COMMAND')

    command = commands.add_parser('list', help='names of all topics')
    command.add_argument('-t', '--types', action='store_true', help='with their types')
    command.set_defaults(command='list')

    command = commands.add_parser('echo', help='messages of a topic as text; long lists are cut')
    command.add_argument('topic', metavar='TOPIC', help='for instance /vla_step')
    length = command.add_mutually_exclusive_group()
    length.add_argument('--once', dest='count', action='store_const', const=1, help='end after one message')
    length.add_argument('--count', type=_positive, metavar='N', help='end after N messages')
    command.add_argument('--field', metavar='F', help='only this field, for instance points[0].positions')
    command.add_argument('--full', action='store_true', help='do not cut long lists')
    command.set_defaults(command='echo')

    command = commands.add_parser('hz', help='rate and jitter of the messages that arrive here')
    command.add_argument('topic', metavar='TOPIC', help='for instance /vla_step')
    command.set_defaults(command='hz')

    command = commands.add_parser('call', help='call a service', epilog=_CALL_EPILOG, **_RAW)
    command.add_argument('service', metavar='SERVICE', help='for instance select_policy')
    _add_fields(command)
    command.set_defaults(command='call', interrupted=130)

    command = commands.add_parser('goal', help='give an action a goal and follow it', epilog=_GOAL_EPILOG, **_RAW)
    command.add_argument('action', metavar='ACTION', help='for instance run_episode')
    _add_fields(command)
    command.set_defaults(command='goal', interrupted=130)
    return parser


def _add_fields(command: argparse.ArgumentParser) -> None:
    command.add_argument('fields', metavar='YAML', nargs='?', default='', help="as '{policy: 1}'; default: no fields")
    command.add_argument('--full', action='store_true', help='do not cut long lists')


def main(args: list[str] | None = None) -> int:
    """Run a command; returns the exit code.

    0 when done, for those that only look also when interrupted; 130 for the others then. 1 on an
    error, and where what was asked of a node did not succeed.
    """
    options = _parser().parse_args(args)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        # here, because it takes seconds on a busy machine: --help need not wait, and Ctrl-C may come
        from aura_ros.ros.graph import open_graph
        from aura_ros.tools.topics.commands import COMMANDS

        with open_graph() as graph:
            verdict = COMMANDS[options.command](graph, options)
            sys.stdout.flush()
    except KeyboardInterrupt:
        return options.interrupted
    except BrokenPipeError:
        # as `aura-topics echo ... | head` does; what Python still wants to flush goes nowhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except AuraError as error:
        print(f'aura-topics: {error}', file=sys.stderr)
        return 1
    return verdict or 0
