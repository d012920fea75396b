# SPDX-License-Identifier: Apache-2.0
"""Finds what a recording misses: no joint states or commands, and streams that appear late or vanish.

Steady clock. Executor thread only.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from aura_ros.nodes.recorder.graph_topics import GraphTopics
from aura_ros.recordings.type_names import CAMERA_TYPES, JOINT_STATE, STRING

CAMERA, JOINTS, COMMAND = 'camera', 'joint state', 'command'
# A start of the graph takes less. What is missing or appears after it is reported [s].
_START_S = 10.0
# A node that is started again is back sooner [s].
_GONE_S = 2.0
_MOST_WARNINGS = 200
_COMMAND_TYPE = re.compile(r'/(\w*(Trajectory|Command|MultiArray|JointJog)\w*|Twist(Stamped)?|PoseStamped)$')
_COMMAND_NAME = re.compile(r'command|cmd|target|leader|master|goal|desired|action', re.IGNORECASE)


def role(topic: str, kind: str) -> str:
    """Return what a topic looks like by its type and name: CAMERA, JOINTS, COMMAND or ''."""
    if kind in CAMERA_TYPES:
        return CAMERA
    if kind == JOINT_STATE:
        return COMMAND if _COMMAND_NAME.search(topic) else JOINTS
    return COMMAND if _COMMAND_TYPE.search(kind) else ''


@dataclass
class _Stream:
    kind: str
    present_at: float
    """When a publisher was there last [s, steady clock]."""
    gone: bool = False


class Coverage:
    """What is missing from a recording.

    Attributes:
        warnings: every warning so far, for the metadata of the recording.
        missing: what is missing now, in sentences.
    """

    def __init__(self, images: bool, now: float) -> None:
        """Begin at `now` [s, steady clock]; without `images`, cameras are not expected."""
        self._images, self._began = images, now
        self._streams: dict[str, _Stream] = {}
        self.warnings: list[str] = []
        self.missing: list[str] = []

    @property
    def gone(self) -> list[str]:
        """Topics without a publisher that had one."""
        return [topic for topic, stream in self._streams.items() if stream.gone]

    def refuse(self, text: str) -> None:
        """Note a topic that cannot be recorded."""
        self._warn(text)

    def look(self, publishers: Mapping[str, tuple[str, int]], now: float) -> list[str]:
        """Follow the streams; return new warnings.

        Args:
            publishers: type and number of publishers of each recorded topic.
            now: the time [s, steady clock].
        """
        news: list[str] = []
        for topic, (kind, count) in publishers.items():
            if kind == STRING:  # an operator's instruction comes and goes
                continue
            stream = self._streams.get(topic)
            if stream is None:
                stream = self._streams[topic] = _Stream(kind, now)
                if role(topic, kind) and now - self._began > _START_S:
                    news.append(f'{topic} appeared {now - self._began:.0f} s after the start of the recording')
            if count:
                if stream.gone:
                    news.append(f'{topic} has a publisher again')
                stream.present_at, stream.gone = now, False
            elif not stream.gone and now - stream.present_at > _GONE_S:
                stream.gone = True
                news.append(f'{topic} vanished: its publishers are gone')
        for text in news:
            self._warn(text)
        return news

    def check(self, used: GraphTopics, messages: Mapping[str, int], now: float, ended: bool = False) -> list[str]:
        """Find what is missing; return what was not missing before.

        Args:
            used: what the nodes of the graph use.
            messages: number of recorded messages of each topic.
            now: the time [s, steady clock].
            ended: the recording ends; a short one is checked too.
        """
        if now - self._began < _START_S and not ended:
            return []
        before, self.missing = self.missing, list(self._missing(used, messages))
        news = [text for text in self.missing if text not in before]
        for text in news:
            self._warn(text)
        return news

    def _missing(self, used: GraphTopics, messages: Mapping[str, int]) -> list[str]:
        found = {role(topic, stream.kind) for topic, stream in self._streams.items() if messages.get(topic)}
        inputs = {topic: role(topic, kind) for topic, kind in used.subscribed.items()}
        expected = {JOINTS, COMMAND, CAMERA} if not used.nodes else {*inputs.values()}
        if used.drives:
            expected.add(COMMAND)
        texts = []
        for what in (JOINTS, COMMAND, CAMERA):
            if what in expected - found and (what != CAMERA or self._images):
                texts.append(f'no {what} is recorded: {self._reason(what, used, inputs)}')
        silent = [
            topic
            for topic, what in sorted(inputs.items())
            if what in found and not messages.get(topic) and (what != CAMERA or self._images)
        ]
        return texts + [f'{topic} has no message, but the graph subscribes to it' for topic in silent]

    def _reason(self, what: str, used: GraphTopics, inputs: Mapping[str, str]) -> str:
        if not used.nodes:
            return (
                'no node of the graph is in the namespace of the recorder, and no topic looks like one; '
                "start the recorder with -r __ns:=NAMESPACE, or name the topics in parameter 'more_topics'"
            )
        if what == COMMAND:
            return 'no message on a command topic; a dry run (enable_control is false) publishes none'
        topics = ', '.join(topic for topic, kind in sorted(inputs.items()) if kind == what)
        return f'no message on {topics}; check the driver, or remap the topic'

    def _warn(self, text: str) -> None:
        if len(self.warnings) < _MOST_WARNINGS:
            self.warnings.append(text)
