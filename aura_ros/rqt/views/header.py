# SPDX-License-Identifier: Apache-2.0
"""The header: policy, step, memory and nodes, a summary line, and a banner when messages are overdue."""

import math
import re

from aura_ros.common.text import cut
from aura_ros.rqt.memory_log import MemoryEvent, MemoryStatus
from aura_ros.rqt.moment import Moment
from aura_ros.rqt.qt import Qt, QtCore, QtWidgets
from aura_ros.rqt.rounds import Rounds
from aura_ros.rqt.style import Theme
from aura_ros.rqt.view_data import Header
from aura_ros.rqt.views import marks, nodes, units
from aura_ros.rqt.views.panel import ElidedLabel, ViewPanel, hover, label, tint
from aura_ros.rqt.views.words import explain, tip

_POLICIES = {'aura': 'AURA', 'kv': 'KV-cache'}
_OF_EPISODE = re.compile(r' of episode \S+(?=,)')
_STORAGE_LENGTH = 64
_COUNTS = (
    'Counted by policy_switch_node since its activation: commands that a limit of the guard changed, chunks that were '
    'refused, and changes into a hold.'
)


class HeaderStrip(ViewPanel):
    """Shows `Header` in three lines; a banner replaces the second line while messages are overdue."""

    def __init__(self) -> None:
        super().__init__('', '')
        self.compact = False
        """Whether the window is narrow, so that only nodes with a fault have names."""
        self.policy = label('', 'large', tip('Policy that drives the robot.', 'policy'))
        self.control = label('', 'title')
        self.step = label(
            '', 'body', tip('Episode (first digits of its UUID) and newest step, from 0.', 'episode', 'step')
        )
        self.restored = ElidedLabel('body')
        self.nodes = QtWidgets.QLabel()
        self.nodes.setTextFormat(Qt.TextFormat.RichText)
        for widget in (self.policy, self.control, self.step):
            self.top.insertWidget(self.top.count() - 2, widget)
        self.top.insertWidget(self.top.count() - 1, self.restored, 1)
        self.top.setSpacing(14)
        self.title.hide()
        self.caption.hide()
        self.top.addWidget(self.nodes)
        self.summary = ElidedLabel('body', tip('Steps and writes that this monitor saw.', 'write', 'gate', 'state'))
        self.banner = ElidedLabel('body')
        self.banner.hide()
        line = QtWidgets.QHBoxLayout()
        line.addWidget(self.summary, 1)
        line.addWidget(self.banner, 1)
        self.body.addLayout(line)
        self.instruction = ElidedLabel('body', tip('Instruction of the episode that runs, in words.', 'backbone'))
        self.rounds = label(
            '', 'body', tip('Rounds of the simulated task, and episodes whose begin was seen.', 'round', 'episode')
        )
        self.counts = label('', 'body', tip(_COUNTS, 'guard', 'chunk', 'hold'))
        task = QtWidgets.QHBoxLayout()
        task.setSpacing(14)
        task.addWidget(self.instruction, 1)
        task.addWidget(self.rounds)
        task.addWidget(self.counts)
        self.body.addLayout(task)

    def minimumSizeHint(self) -> QtCore.QSize:
        """Return the size of three lines."""
        return QtCore.QSize(400, 70)

    def show_header(self, header: Header, moment: Moment, memory: MemoryStatus) -> None:
        """Fill the first line and the banner; `memory` is that of the moment, `header` that of the present."""
        theme = self.theme
        assert theme is not None
        self._show_policy(header, moment, theme)
        self._show_control(header, moment, theme)
        episode = units.short_id(header.episode_id) or units.NOTHING
        strays = f' · {header.strays:,} stray stamps' if header.strays else ''
        self.step.setText(f'episode {episode} · step {header.seq:,}{strays}' if header.seq >= 0 else 'no step yet')
        self.step.setVisible(not moment.frozen and not self.compact)
        self.rounds.setVisible(not self.compact)
        at_present = ('present: ' if self.compact else 'nodes at present: ') if moment.frozen and header.nodes else ''
        caption = f'<span style="color:{theme.muted}">{at_present}</span>'
        self.nodes.setText(caption + nodes.marks(header.nodes, theme, moment.frozen, self.compact))
        self.nodes.setToolTip(hover(nodes.describe(header.nodes)))
        self._show_memory(header, moment, memory, theme)
        self._show_banner(header, theme)

    def _show_policy(self, header: Header, moment: Moment, theme: Theme) -> None:
        if moment.frozen:
            name, _, held = moment.policy.partition(' ')
            did = 'policy unknown' if not name else f'{_name(name)} {"was held" if held else "drove"}'
            text = f'{units.moment(moment.stamp_s)}: {did}'
        elif not header.policy:
            name, text = '', '○ no policy yet'
        elif not header.policy_known:
            name, text = '', '○ policy unknown'
        else:
            name, change = header.policy, f' → {_name(header.pending)}' if header.pending else ''
            verb = 'is held' if header.holding else 'is selected' if header.dry_run else 'drives'
            text = f'● {_name(name)} {verb}{change}'
        self.policy.setText(text)
        tint(self.policy, theme.policy(name))

    def _show_control(self, header: Header, moment: Moment, theme: Theme) -> None:
        text, colour = '', theme.muted
        if moment.frozen or header.dry_run is None:
            pass
        elif not header.policy_known:
            text = f'{_name(header.policy)} until {units.clock(header.policy_stamp_s)}'
        elif header.holding:
            text, colour = 'HOLD', theme.alarm
        elif header.dry_run:
            text = 'dry run'
        else:
            text, colour = 'commands are sent', theme.good
        self.control.setText(text)
        tint(self.control, colour)
        self.control.setToolTip(f'{header.reason}\n\n{explain("hold", "policy")}')

    def _show_memory(self, header: Header, moment: Moment, memory: MemoryStatus, theme: Theme) -> None:
        # The hover text names the episode.
        text = f'restored: {_OF_EPISODE.sub("", header.restored)}' if header.restored else header.storage
        text, colour = cut(text, _STORAGE_LENGTH), theme.alarm if header.storage_level else theme.muted
        silent = any(node.silent and node.name == 'memory_node' for node in header.nodes)
        event = memory.event
        if marks.headline(memory) and event is not None:
            text, colour = marks.headline(memory), marks.colour(event.kind, theme)
        elif moment.frozen:
            text = ''
        elif silent:
            text, colour = 'memory unknown: memory_node is silent', theme.alarm
        self.restored.setText(text)
        self.restored.setToolTip(
            f'{"" if event is None else _describe(event)}Storage: {header.storage or "not reported"}\n'
            f'Restored: {header.restored or "nothing"}\n\n{explain("state", "storage", "durable")}'
        )
        tint(self.restored, colour, 'font-weight: 600;' if event is not None and memory.empty else '')

    def show_task(self, header: Header, instruction: str, rounds: Rounds | None, episodes: int, moment: Moment) -> None:
        """Fill the third line.

        Args:
            header: counts of the present.
            instruction: instruction at the moment, '' when unknown.
            rounds: rounds of the task at the moment, None without a task.
            episodes: episodes whose begin was seen.
            moment: moment of the page; the counts do not belong to a past one.
        """
        theme = self.theme
        assert theme is not None
        self.instruction.setText(f'Instruction: {instruction}' if instruction else 'no instruction received')
        tint(self.instruction, theme.text if instruction else theme.muted)
        begun = f'{episodes:,} episode{"" if episodes == 1 else "s"} begun' if episodes else ''
        played = (
            f'round {rounds.number:,} of {rounds.task}: {rounds.solved:,} of {rounds.ended:,} solved' if rounds else ''
        )
        self.rounds.setText(' · '.join(part for part in (played, begun) if part))
        counts = (
            f'{header.clipped:,} commands clipped · {header.rejected:,} chunks refused · {header.holds:,} '
            f'hold{"" if header.holds == 1 else "s"}'
        )
        self.counts.setText('' if moment.frozen or header.dry_run is None else counts)
        tint(self.counts, theme.text if header.clipped or header.rejected else theme.muted)

    def _show_banner(self, header: Header, theme: Theme) -> None:
        self.banner.setVisible(bool(header.stale))
        self.summary.setVisible(not header.stale)
        if header.stale_s == math.inf:
            self.banner.setText('Waiting for a robot: no message received yet.')
            tint(self.banner, theme.muted)
        else:
            self.banner.setText(f'STALE: {header.stale}. {_consequence(header)}')
            tint(self.banner, theme.panel, f'background: {theme.alarm}; font-weight: 600; padding: 0 6px;')


def _describe(event: MemoryEvent) -> str:
    return f'{marks.NAMES[event.kind]} at {units.moment(event.stamp_s)}: {event.reason}\n'


def _consequence(header: Header) -> str:
    if header.policy_known or not header.policy:
        return 'The page shows the last values received.'
    return 'No policy is known to drive. The page shows the last values received.'


def _name(policy: str) -> str:
    return _POLICIES.get(policy, policy)
