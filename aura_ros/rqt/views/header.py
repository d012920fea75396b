# SPDX-License-Identifier: Apache-2.0
"""The header: policy, step, nodes and restored state, a summary line, and a banner when messages are overdue."""

import math
import re

from aura_ros.common.text import cut
from aura_ros.rqt.points import WritePoint
from aura_ros.rqt.qt import Qt, QtCore, QtWidgets
from aura_ros.rqt.style import Theme
from aura_ros.rqt.view_data import Cost, Header, NodeReport
from aura_ros.rqt.views import units
from aura_ros.rqt.views.panel import ElidedLabel, ViewPanel, hover, label, markup, tint
from aura_ros.rqt.views.words import explain, tip

_POLICIES = {'aura': 'AURA drives', 'kv': 'KV-cache drives', 'base': 'base drives', '': 'no policy yet'}
_OF_EPISODE = re.compile(r' of episode \S+(?=,)')
_LEVELS = ('OK', 'WARN', 'ERROR', 'STALE')
_STORAGE_LENGTH = 64
# Characters of the name and of the state of a node.
_NAME_LENGTH = 24


class HeaderStrip(ViewPanel):
    """Shows `Header` in two lines; a banner replaces the second line while messages are overdue."""

    def __init__(self) -> None:
        super().__init__('', '')
        self.policy = label('', 'large', tip('Policy that drives the robot.', 'policy'))
        self.control = label('', 'title')
        self.step = label(
            '', 'body', tip('Episode (first digits of its UUID) and newest step, from 0.', 'episode', 'step')
        )
        self.restored = label('', 'body')
        self.nodes = QtWidgets.QLabel()
        self.nodes.setTextFormat(Qt.TextFormat.RichText)
        for widget in (self.policy, self.control, self.step, self.restored):
            self.top.insertWidget(self.top.count() - 2, widget)
        self.top.setSpacing(14)
        self.title.hide()
        self.top.addWidget(self.nodes)
        self.summary = ElidedLabel('body', tip('Writes of the last 10 minutes.', 'write', 'gate', 'state'))
        self.banner = label()
        self.banner.hide()
        line = QtWidgets.QHBoxLayout()
        line.addWidget(self.summary, 1)
        line.addWidget(self.banner, 1)
        self.body.addLayout(line)
        self.banner.setSizePolicy(QtWidgets.QSizePolicy.Policy.Ignored, QtWidgets.QSizePolicy.Policy.Preferred)

    def minimumSizeHint(self) -> QtCore.QSize:
        """Return the size of two lines."""
        return QtCore.QSize(400, 52)

    def show_header(self, header: Header) -> None:
        """Fill the first line and the banner."""
        theme = self.theme
        assert theme is not None
        change = f' → {header.pending}' if header.pending else ''
        self.policy.setText(f'● {_POLICIES.get(header.policy, header.policy)}{change}')
        tint(self.policy, theme.policy(header.policy))
        self._show_control(header, theme)
        episode = units.short_id(header.episode_id) or units.NOTHING
        strays = f' · {header.strays:,} stray stamps' if header.strays else ''
        self.step.setText(f'episode {episode} · step {header.seq:,}{strays}' if header.seq >= 0 else 'no step yet')
        self.nodes.setText('&nbsp;&nbsp;'.join(_node(node, theme) for node in header.nodes))
        self.nodes.setToolTip(hover('\n'.join(_node_tip(node) for node in header.nodes)))
        self._show_storage(header, theme)
        self.banner.setVisible(bool(header.stale))
        self.summary.setVisible(not header.stale)
        if header.stale_s == math.inf:
            self.banner.setText('Waiting for a robot: no message received yet.')
            tint(self.banner, theme.muted)
        else:
            self.banner.setText(f'STALE: {header.stale}. The page shows the last values received.')
            tint(self.banner, theme.panel, f'background: {theme.alarm}; font-weight: 600; padding: 0 6px;')

    def _show_control(self, header: Header, theme: Theme) -> None:
        if header.dry_run is None:
            text, colour = '', theme.muted
        elif header.holding:
            text, colour = 'HOLD', theme.alarm
        elif header.dry_run:
            text, colour = 'dry run', theme.muted
        else:
            text, colour = 'commands are sent', theme.good
        self.control.setText(text)
        tint(self.control, colour)
        self.control.setToolTip(
            f'{header.reason}\nCommands clipped by a limit: {header.clipped:,}\nChunks refused: {header.rejected:,}\n'
            f'Holds: {header.holds:,}\n\n{explain("hold", "chunk")}'
        )

    def _show_storage(self, header: Header, theme: Theme) -> None:
        # The hover text names the episode.
        text = f'restored: {_OF_EPISODE.sub("", header.restored)}' if header.restored else header.storage
        self.restored.setText(cut(text, _STORAGE_LENGTH))
        self.restored.setToolTip(
            f'Storage: {header.storage or "not reported"}\nRestored: {header.restored or "nothing"}\n\n'
            f'{explain("state", "storage", "durable")}'
        )
        tint(self.restored, theme.alarm if header.storage_level else theme.muted)

    def show_summary(
        self, writes: int, steps: int, last: WritePoint | None, cost: Cost, newest_s: float | None
    ) -> None:
        """Fill the second line.

        Args:
            writes: number of writes in the history.
            steps: number of steps in the history.
            last: newest write, or the one that is selected; None before the first.
            cost: present cost.
            newest_s: newest observation [s, ROS clock]; None while a past moment is shown.
        """
        if not steps:
            self.summary.setText('Waiting for the first step.')
            return
        text = f'{writes:,} of {steps:,} steps wrote ({writes / steps:.1%}).'
        if last is not None:
            which = 'Selected write'
            if newest_s is not None:
                which = f'Last write {units.duration(max(0.0, newest_s - last.stamp_s))} ago'
            text += f' {which} at step {last.seq:,}: gate {last.gate:.2f} > threshold {last.threshold:.2f}.'
        if len(cost.aura_bytes):
            text += f' State: {units.size(int(cost.aura_bytes[-1]))}.'
            if len(cost.kv_bytes):
                text += f' KV-cache: {units.size(int(cost.kv_bytes[-1]))}.'
        self.summary.setText(text)


def _node(node: NodeReport, theme: Theme) -> str:
    colour, mark = theme.good, '●'
    if node.silent or node.level >= 2:
        colour, mark = theme.alarm, '✕'
    elif node.level == 1:
        colour, mark = theme.alarm, '▲'
    elif node.state not in ('', 'active'):
        colour, mark = theme.muted, '○'
    name = cut(node.name.removesuffix('_node').rpartition('/')[2].replace('_', ' '), _NAME_LENGTH)
    state = '' if node.state in ('', 'active') else f' {cut(node.state, _NAME_LENGTH)}'
    return f'<span style="color:{colour}">{mark}</span> <span style="color:{theme.text}">{markup(name + state)}</span>'


def _node_tip(node: NodeReport) -> str:
    level = f'no report for {node.age_s:.0f} s' if node.silent else _LEVELS[min(node.level, 3)]
    return f'{node.name}: {node.state or "plain node"}, {level}, {node.message}'
