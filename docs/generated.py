# SPDX-License-Identifier: Apache-2.0
"""Texts of the site from outside of this folder, as Markdown: README.md and its neighbours, and what the code says.

A page has a comment, such as `<!-- generated: parameters -->`. conf.py puts the text of the function with this name in
its place when the site is built.
"""

import contextlib
import io
import os
import re
import subprocess
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any
from unittest import mock

ROOT = Path(__file__).resolve().parents[1]
Row = tuple[str, str, str, str, str]
"""Type, default, unit, range and text of a parameter."""
_AUTOSTART: dict[str, Row] = {'autostart': ('bool', 'false', '', '', 'Configure and activate at start')}
_COLUMNS = '| name | type | default | unit | range | meaning |\n|---|---|---|---|---|---|\n'
_KINDS = {'msg': 'Messages', 'srv': 'Services', 'action': 'Actions'}
_WIDTH = '100'
_PAGES = {
    'README.md': 'index.md',
    'CONTRIBUTING.md': 'project/contributing.md',
    'QUALITY_DECLARATION.md': 'project/quality.md',
    'CHANGELOG.rst': 'project/changelog.rst',
}
"""Files of the repository's folder that are pages of the site."""
_LINK = re.compile(r'(?<=\]\()[^):#]+(?=[)#])')


def readme() -> str:
    """Return README.md, which is the front page."""
    return _page('README.md')


def contributing() -> str:
    """Return CONTRIBUTING.md."""
    return _page('CONTRIBUTING.md')


def quality() -> str:
    """Return QUALITY_DECLARATION.md."""
    return _page('QUALITY_DECLARATION.md')


def parameters_by_node() -> dict[str, dict[str, Row]]:
    """Return the parameters of each node by name. A name with a word in capitals stands for one for each such part."""
    # The node modules import rclpy, which rosdoc2 may not have.
    from aura_ros.nodes import kv_baseline
    from aura_ros.nodes.memory import node as memory
    from aura_ros.nodes.player import playback
    from aura_ros.nodes.policy_switch import config as policy_switch
    from aura_ros.nodes.recorder import node as recorder
    from aura_ros.nodes.sim import node as sim
    from aura_ros.nodes.vla import config as vla
    from aura_ros.ros import robot_file
    from aura_ros.tools.panel import main as panel

    maps = _rows(robot_file.MapParameters, 'robot.map_JOINT.')
    return {
        'vla_node': _AUTOSTART | _rows(vla.VlaNodeConfig) | _rows(robot_file.SourceParameters, 'robot.') | maps,
        'memory_node': _AUTOSTART | _rows(memory.MemoryNodeConfig),
        'kv_baseline_node': _AUTOSTART | _rows(kv_baseline.KvBaselineConfig),
        'policy_switch_node': _AUTOSTART
        | _rows(policy_switch.SwitchNodeConfig)
        | _rows(robot_file.RobotParameters, 'robot.')
        | _rows(robot_file.OutputParameters, 'robot.OUTPUT.')
        | _rows(robot_file.EndEffectorParameters, 'robot.end_effector.')
        | maps,
        'sim_node': _rows(sim.SimNodeConfig),
        'recorder': _rows(recorder.RecorderConfig),
        'player': _rows(playback.PlayerConfig),
        'panel': _rows(panel.PanelConfig),
    }


def parameters() -> str:
    """Return a table of parameters for each node."""
    return '\n'.join(
        f'## {node}\n\nTopics, services and diagnostics are on the page of [{node}](../nodes/{node}.md).\n\n'
        + _COLUMNS
        + ''.join(_line(name, row) for name, row in rows.items())
        for node, rows in parameters_by_node().items()
    )


def messages() -> str:
    """Return the files of all messages, services and actions."""
    return '\n'.join(
        f'## {title}\n\n'
        + '\n'.join(
            f'### {path.stem}\n\n```text\n{path.read_text(encoding="utf-8")}```\n'
            for path in sorted((ROOT / kind).iterdir())
        )
        for kind, title in _KINDS.items()
    )


def commands() -> str:
    """Return the help of ./run, and that of `aura` with all its verbs and their commands."""
    from aura_ros.cli import VERBS

    run = subprocess.run([ROOT / 'run', '--help'], capture_output=True, text=True, check=True).stdout
    calls = [('aura',), *(call for verb in VERBS for call in _calls(verb))]
    texts = {'./run': run} | {' '.join(call): _help(call[1:]) for call in calls}
    return '\n'.join(f'## {name}\n\n```text\n{text.rstrip()}\n```\n' for name, text in texts.items())


def _page(name: str) -> str:
    """Return a file of the repository's folder, its links changed to those of the site."""
    folder = Path(_PAGES[name]).parent

    def link(found: re.Match[str]) -> str:
        target = _PAGES.get(found[0], found[0].removeprefix('docs/'))
        return os.path.relpath(target, folder)

    return _LINK.sub(link, (ROOT / name).read_text(encoding='utf-8'))


def _calls(verb: str) -> list[tuple[str, ...]]:
    """Return the command lines of a verb: its own, and one for each command in its help."""
    listed = re.search(r'^ {2,4}COMMAND\b.*\n((?: {4}.*\n)+)', _help([verb]), re.MULTILINE)
    inner = re.findall(r'^ {4}(\w+)', listed[1], re.MULTILINE) if listed else []
    if verb == 'bench':
        from aura_ros.bench.cli import COMMANDS

        inner = list(COMMANDS)
    return [('aura', verb), *(('aura', verb, command) for command in inner)]


def _help(words: Sequence[str]) -> str:
    """Return what `aura WORDS --help` prints."""
    from aura_ros.cli import main

    printed = io.StringIO()
    with mock.patch.dict(os.environ, COLUMNS=_WIDTH), contextlib.redirect_stdout(printed):
        with contextlib.suppress(SystemExit):
            main([*words, '--help'])
    if not printed.getvalue():
        raise ImportError(name=f'what `aura {" ".join(words)}` imports')
    return printed.getvalue()


def _rows(schema: Any, prefix: str = '') -> dict[str, Row]:
    """Return the parameters of a dataclass of parameters."""
    from aura_ros.ros.parameters import _KEY, text_of

    return {prefix + spec.name: (*_cells(spec.default, spec.metadata[_KEY]), text_of(spec)) for spec in fields(schema)}


def _cells(default: object, rule: Any) -> tuple[str, str, str, str]:
    allowed = ', '.join(rule.choices)
    if rule.low is not None:
        low, high = rule.low, rule.high
        allowed = f'{low}..{high}' if rule.kind.name == 'INTEGER' else f'{low:g}..{high:g}'
    return rule.kind.name.lower().replace('_', ' '), _as_yaml(default), rule.unit, allowed


def _as_yaml(value: object) -> str:
    if isinstance(value, tuple):
        return '[' + ', '.join(value) + ']'
    if isinstance(value, bool):
        return str(value).lower()
    return value or "''" if isinstance(value, str) else str(value)


def _line(name: str, row: Row) -> str:
    kind, default, unit, allowed, text = (cell.replace('|', '\\|') for cell in row)
    return f'| `{name}` | {kind} | `{default}` | {unit} | {allowed} | {text} |\n'
