# SPDX-License-Identifier: Apache-2.0
"""aura-topics: the topics of the running graph on a terminal, where there is no `ros2` command."""

from __future__ import annotations

import argparse
import os
import signal
import sys

from aura_ros.errors import AuraError

_DESCRIPTION = """\
Shows the topics of the running ROS 2 graph. Without a command: a table of all topics with their
publishers, rate and the age of the last message, twice a second (plain lines every 2 s where
stdout is no terminal). Ctrl-C ends."""

_EPILOG = """\
examples, in a shell of `./run shell` while `./run demo` runs in another:
  aura-topics                                    everything at a glance
  aura-topics list -t                            names and types
  aura-topics echo /aura/write_event             each write of the memory
  aura-topics echo /arm_status --once            the newest message, then end
  aura-topics echo /joint_states --field position --count 5
  aura-topics echo /diagnostics --field status[0].message
  aura-topics hz /vla_step                       rate and jitter, once a second

Topics are found on the ROS domain of the environment (ROS_DOMAIN_ID, and for other machines
ROS_AUTOMATIC_DISCOVERY_RANGE). Rates and ages are in wall time, also when the graph runs on
simulated time; ages rely on the publisher's clock. The quality of service is that of the
publishers. Where ROS 2's command line is installed, `ros2 topic` does more: pub, info, bw, find."""


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' must be a whole number of at least 1")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog='aura-topics',
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(command='table')
    commands = parser.add_subparsers(title='commands', metavar='COMMAND')

    command = commands.add_parser('list', help='names of all topics')
    command.add_argument('-t', '--types', action='store_true', help='with their types')
    command.set_defaults(command='list')

    command = commands.add_parser('echo', help='messages of a topic as text; long lists are cut')
    command.add_argument('topic', metavar='TOPIC', help='for instance /vla_step')
    length = command.add_mutually_exclusive_group()
    length.add_argument(
        '--once', dest='count', action='store_const', const=1, help='end after one message'
    )
    length.add_argument('--count', type=_positive, metavar='N', help='end after N messages')
    command.add_argument(
        '--field', metavar='F', help='only this field, for instance points[0].positions'
    )
    command.add_argument('--full', action='store_true', help='do not cut long lists')
    command.set_defaults(command='echo')

    command = commands.add_parser('hz', help='rate and jitter of the messages that arrive here')
    command.add_argument('topic', metavar='TOPIC', help='for instance /vla_step')
    command.set_defaults(command='hz')
    return parser


def main(args: list[str] | None = None) -> int:
    """Run the viewer; returns 0 when done or interrupted, 1 on an error."""
    options = _parser().parse_args(args)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        # here, because it takes seconds on a busy machine: --help need not wait, and Ctrl-C may come
        from aura_ros.nodes.topic_commands import COMMANDS
        from aura_ros.nodes.topic_graph import open_graph

        with open_graph() as graph:
            COMMANDS[options.command](graph, options)
            sys.stdout.flush()
    except KeyboardInterrupt:
        return 0  # the way to end it
    except BrokenPipeError:
        # as `aura-topics echo ... | head` does; what Python still wants to flush goes nowhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except AuraError as error:
        print(f'aura-topics: {error}', file=sys.stderr)
        return 1
    return 0
