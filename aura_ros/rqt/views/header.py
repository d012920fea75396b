# SPDX-License-Identifier: Apache-2.0
"""Who drives, what step it is, who is up, what was restored; and a banner when all that is no longer news."""

import math
import re

from aura_ros.rqt.answers import Cost, Header, NodeReport
from aura_ros.rqt.points import WritePoint
from aura_ros.rqt.qt import Qt, QtCore, QtWidgets
from aura_ros.rqt.style import Theme
from aura_ros.rqt.views import words
from aura_ros.rqt.views.panel import Elided, Panel, label, tint

_POLICIES = {'aura': 'AURA drives', 'kv': 'KV-cache drives', 'base': 'base VLA drives', '': 'nobody drives'}
_OF_EPISODE = re.compile(r' of episode \S+(?=,)')
_LEVELS = ('OK', 'WARN', 'ERROR', 'STALE')


class HeaderStrip(Panel):
    """Shows a `Header` in two lines; the second is a banner when something has fallen silent."""

    def __init__(self) -> None:
        """Make the labels."""
        super().__init__('', '')
        self.policy = label(
            '', 'large', 'Who drives the robot: the frozen VLA alone (base), AURA-Mem, or the KV-cache.'
        )
        self.control = label('', 'title')
        self.step = label('', 'body', 'Episode (the beginning of its UUID) and the newest step, counted from 0.')
        self.restored = label('', 'body')
        self.nodes = QtWidgets.QLabel()
        self.nodes.setTextFormat(Qt.TextFormat.RichText)
        for widget in (self.policy, self.control, self.step, self.restored):
            self.top.insertWidget(self.top.count() - 2, widget)
        self.top.setSpacing(14)
        self.title.hide()
        self.top.addWidget(self.nodes)
        self.story, self.banner = Elided('body'), label()
        self.banner.hide()
        line = QtWidgets.QHBoxLayout()
        line.addWidget(self.story, 1)
        line.addWidget(self.banner, 1)
        self.body.addLayout(line)
        self.banner.setSizePolicy(QtWidgets.QSizePolicy.Policy.Ignored, QtWidgets.QSizePolicy.Policy.Preferred)

    def minimumSizeHint(self) -> QtCore.QSize:
        """Two lines."""
        return QtCore.QSize(400, 52)

    def show_header(self, header: Header) -> None:
        """Fill the first line and the banner."""
        theme = self.theme
        assert theme is not None
        change = f' → {header.pending}' if header.pending else ''
        self.policy.setText(f'● {_POLICIES.get(header.policy, header.policy)}{change}')
        tint(self.policy, theme.policy(header.policy))
        self._show_control(header, theme)
        episode = words.short_id(header.episode_id) or words.NOTHING
        self.step.setText(f'episode {episode} · step {header.seq:,}' if header.seq >= 0 else 'no step yet')
        self.nodes.setText('&nbsp;&nbsp;'.join(_node(node, theme) for node in header.nodes))
        self.nodes.setToolTip('\n'.join(_node_tip(node) for node in header.nodes))
        self._show_kept(header, theme)
        self.banner.setVisible(bool(header.stale))
        self.story.setVisible(not header.stale)
        if header.stale_s == math.inf:
            self.banner.setText('Waiting for a robot: nothing heard yet.')
            tint(self.banner, theme.muted)
        else:
            self.banner.setText(f'STALE: {header.stale}. What is shown is the last that was heard.')
            tint(self.banner, theme.panel, f'background: {theme.alarm}; font-weight: 600; padding: 0 6px;')

    def _show_control(self, header: Header, theme: Theme) -> None:
        if header.dry_run is None:
            text, colour = '', theme.muted
        elif header.holding:
            text, colour = 'HOLDING', theme.alarm
        elif header.dry_run:
            text, colour = 'dry run', theme.muted
        else:
            text, colour = 'commands go out', theme.good
        self.control.setText(text)
        tint(self.control, colour)
        self.control.setToolTip(
            f'{header.reason}\ncommands clipped by a limit: {header.clipped:,}\nchunks refused: {header.rejected:,}\n'
            f'times held: {header.holds:,}'
        )

    def _show_kept(self, header: Header, theme: Theme) -> None:
        # which episode it was of is in the tooltip
        text = f'restored: {_OF_EPISODE.sub("", header.restored)}' if header.restored else header.kept
        self.restored.setText(text if len(text) < 64 else text[:63] + '…')
        self.restored.setToolTip(f'{header.kept}\nrestored: {header.restored or "nothing"}')
        tint(self.restored, theme.alarm if header.kept_level else theme.muted)

    def tell(self, writes: int, steps: int, last: WritePoint | None, cost: Cost, newest_s: float | None) -> None:
        """Say in a line what was written, when, why, and what it cost.

        Args:
            writes, steps: on record.
            last: the write that is looked at, None before the first.
            cost: as of now.
            newest_s: the newest observation [s, ROS clock]; None while one looks at another moment.
        """
        if not steps:
            self.story.setText('Waiting for the first step.')
            return
        text = f'Wrote {writes:,} of the {steps:,} steps on record ({writes / steps:.1%})'
        if last is not None:
            when = '' if newest_s is None else f' {words.duration(max(0.0, newest_s - last.stamp_s))} ago'
            text += (
                f', {"this one" if newest_s is None else "last"}{when} at step {last.seq:,}, '
                f'because the gate said {last.gate:.2f}, over {last.threshold:.2f}'
            )
        if len(cost.aura_bytes):
            text += f'. Carries {words.size(int(cost.aura_bytes[-1]))}'
            if len(cost.kv_bytes):
                text += f'; the KV-cache {words.size(int(cost.kv_bytes[-1]))}'
        self.story.setText(text + '.')


def _node(node: NodeReport, theme: Theme) -> str:
    colour, mark = theme.good, '●'
    if node.silent or node.level >= 2:
        colour, mark = theme.alarm, '✕'
    elif node.level == 1:
        colour, mark = theme.alarm, '▲'
    elif node.state not in ('', 'active'):
        colour, mark = theme.muted, '○'
    name = node.name.removesuffix('_node').rpartition('/')[2].replace('_', ' ')
    state = '' if node.state in ('', 'active') else f' {node.state}'
    return f'<span style="color:{colour}">{mark}</span> <span style="color:{theme.text}">{name}{state}</span>'


def _node_tip(node: NodeReport) -> str:
    heard = f'silent for {node.heard_s:.0f} s' if node.silent else _LEVELS[min(node.level, 3)]
    return f'{node.name}: {node.state or "plain node"}, {heard}: {node.message}'
