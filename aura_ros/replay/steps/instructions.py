# SPDX-License-Identifier: Apache-2.0
"""The instruction in force at each moment of a recording, by the rule of vla_node: an empty text changes nothing."""

from bisect import bisect_right

from aura_ros.recordings.bags import Bag
from aura_ros.recordings.types import Sample
from aura_ros.replay.steps.episodes import step_topics
from aura_ros.replay.steps.mapping import Mapping
from aura_ros.vla.instruction import IN_FORCE, usable_instruction


class Instructions:
    """Follows the instruction while a recording is read.

    A text on an ordinary topic applies from its arrival on. A text that vla_node published on `instruction_in_force`
    applies from the stamp of the next recorded step on, because the picture of that step can be older than the text.
    """

    def __init__(self, bag: Bag, mapping: Mapping) -> None:
        """Follow the instruction of a mapping."""
        source = mapping.instruction
        self._bag, self._topic = bag, source.topic
        self._fixed = None if source.topic else usable_instruction(source.text)
        self._text = self._fixed
        self._at_steps = _at_steps(bag, source.topic, step_topics(bag, mapping))

    def begin(self, begin_ns: int, until_ns: int) -> None:
        """Start an episode that begins at `begin_ns` and is read from `until_ns` on [ns, log time]."""
        self._text = self._fixed
        if self._topic and until_ns > begin_ns and not self._at_steps:
            for sample in self._bag.samples([self._topic], begin_ns, until_ns):
                self.add(sample)

    def add(self, sample: Sample) -> None:
        """Take a message of any topic."""
        if sample.topic == self._topic:
            self._text = usable_instruction(sample.message.data) or self._text

    def at(self, stamp_ns: int) -> str | None:
        """Return the instruction of an observation with this stamp; None before the first one."""
        if not self._at_steps:
            return self._text
        number = bisect_right(self._at_steps, stamp_ns, key=lambda change: change[0])
        return self._at_steps[number - 1][1] if number else None


def _at_steps(bag: Bag, topic: str, steps: list[str]) -> list[tuple[int, str]]:
    """Stamp of the first step under each instruction in force [ns], sorted; empty for other topics or without steps."""
    found: list[tuple[int, str]] = []
    text = ''
    for sample in bag.samples([topic, *steps]) if steps and topic.endswith(IN_FORCE) else ():
        if sample.topic == topic:
            text = usable_instruction(sample.message.data) or text
        elif text:
            found.append((sample.stamp_ns, text))
            text = ''
    return sorted(found)
