# SPDX-License-Identifier: Apache-2.0
"""The command `aura`: one entry to every program of the package. A program is imported only when its verb is given."""

import sys
from collections.abc import Sequence
from importlib import import_module

from aura_ros.common.arguments import WRONG_USE, check_only, wrong_name
from aura_ros.common.program import program

VERBS = {
    'demo': ('aura_ros.tools.demo.main', 'run the simulated robot with and without memory'),
    'launch': ('aura_ros.tools.launch.main', 'start a graph of nodes from its launch file'),
    'serve': ('aura_ros.tools.serve.main', 'serve a backbone to vla_node, from another process or machine'),
    'monitor': ('aura_ros.rqt.window', 'show live what the memory writes, when and why'),
    'robot': ('aura_ros.tools.robot.main', 'write and check robot files, from presets or a URDF'),
    'topics': ('aura_ros.tools.topics.main', 'list and echo topics, call services, send goals'),
    'panel': ('aura_ros.tools.panel.main', 'compare all policies on the simulated robot'),
    'soak': ('aura_ros.tools.soak.main', 'run the whole graph for a long time and check for leaks and losses'),
    'replay': ('aura_ros.replay.main', 'evaluate every memory on recordings of a robot'),
    'state': ('aura_ros.state.main', 'inspect, verify, export and compare state files'),
    'features': ('aura_ros.train.features', 'compute the features of recordings, for training'),
    'train': ('aura_ros.train.main', 'train the VLA and the memories'),
    'bench': ('aura_ros.bench.cli', "reproduce the papers' tables"),
}
"""Verb: module with its `main`, and one line of help."""

_WIDTH = max(map(len, VERBS))
HELP = f"""\
usage: aura [--check] VERB [ARGUMENTS]

Long-term memory for robot policies: the programs of aura_ros.

verbs:
{chr(10).join(f'  {verb:{_WIDTH}}  {summary}' for verb, (_, summary) in VERBS.items())}

--check only checks the arguments, and starts nothing.

examples:
  aura demo                                  simulator, all policies, a table
  aura monitor                               look at a running graph
  aura topics call select_policy '{{policy: POLICY_AURA}}'
  aura robot --preset ur5e --output my.yaml  describe the robot
  aura replay my_bag                         aura_replay/report.html
  aura state verify ~/aura.state             check a state file

`aura VERB --help` describes a verb.
Exit codes: 0 success, 1 failure, 2 wrong use, 130 Ctrl-C.
"""


@program('aura')
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program that the first word names with the remaining words, and return its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words and words[0] in ('-h', '--help'):
        print(HELP, end='')
        return 0
    if not words:
        print(HELP, end='', file=sys.stderr)
        return WRONG_USE
    if words[0] == '--check' and len(words) > 1:
        check_only()
        del words[0]
    verb, *rest = words
    if verb not in VERBS:
        print(f'aura: {wrong_name(verb, VERBS)}', file=sys.stderr)
        return WRONG_USE
    code: int = import_module(VERBS[verb][0]).main(rest)
    return code


if __name__ == '__main__':
    sys.exit(main())
