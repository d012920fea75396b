# SPDX-License-Identifier: Apache-2.0
"""The states of the nodes as markup: a mark and a name each."""

from collections.abc import Sequence

from aura_ros.common.text import cut
from aura_ros.rqt.style import Theme
from aura_ros.rqt.view_data import NodeReport
from aura_ros.rqt.views.panel import markup

_LEVELS = ('OK', 'WARN', 'ERROR', 'STALE')
# Characters of the name and of the state of a node.
_NAME_LENGTH = 24


def marks(nodes: Sequence[NodeReport], theme: Theme, muted: bool, compact: bool = False) -> str:
    """Return mark and name of each node.

    Args:
        nodes: the nodes.
        theme: colours.
        muted: whether the names are pale.
        compact: whether only nodes that are not good have a name.
    """
    ink = theme.muted if muted else theme.text
    return '&nbsp;&nbsp;'.join(_mark(node, theme, ink, compact) for node in nodes)


def _mark(node: NodeReport, theme: Theme, ink: str, compact: bool) -> str:
    colour, mark = theme.good, '●'
    if node.silent or node.level >= 2:
        colour, mark = theme.alarm, '✕'
    elif node.level == 1:
        colour, mark = theme.alarm, '▲'
    elif node.state not in ('', 'active'):
        colour, mark = theme.muted, '○'
    name = cut(node.name.removesuffix('_node').rpartition('/')[2].replace('_', ' '), _NAME_LENGTH)
    state = '' if node.state in ('', 'active') else f' {cut(node.state, _NAME_LENGTH)}'
    if compact and mark == '●':
        return f'<span style="color:{colour}">{mark}</span>'
    return f'<span style="color:{colour}">{mark}</span> <span style="color:{ink}">{markup(name + state)}</span>'


def describe(nodes: Sequence[NodeReport]) -> str:
    """Return one line about each node."""
    return '\n'.join(_line(node) for node in nodes)


def _line(node: NodeReport) -> str:
    level = f'no report for {node.age_s:.0f} s' if node.silent else _LEVELS[min(node.level, 3)]
    return f'{node.name}: {node.state or "plain node"}, {level}, {node.message}'
