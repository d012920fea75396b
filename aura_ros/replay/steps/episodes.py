# SPDX-License-Identifier: Apache-2.0
"""Which episode a moment of a recording belongs to, by one rule for the offline and the live replay."""

from bisect import bisect_right

from aura_ros.recordings.bags import Bag
from aura_ros.recordings.type_names import VLA_STEP
from aura_ros.replay.steps.mapping import Mapping


class EpisodeNames:
    """The episodes of a recording. A dataset names them; in a bag of our graph the VlaSteps mark their beginnings."""

    def __init__(self, bag: Bag, mapping: Mapping) -> None:
        """Read the marks that the robot of `mapping` has in `bag`."""
        self._spans = bag.episodes
        self.starts = _starts(bag, step_topics(bag, mapping))
        """Stamp [ns] and name of each marked beginning."""

    @property
    def one(self) -> bool:
        """Whether nothing in the recording marks the beginning of an episode."""
        return not self.starts and len(self._spans) == 1

    @property
    def several(self) -> bool:
        """Whether the recording has more than one episode."""
        return len(self.starts) > 1 or len(self._spans) > 1

    def at(self, stamp_ns: int, log_ns: int) -> str:
        """Return the name of the episode at a stamp and a log time [ns]."""
        if number := bisect_right(self.starts, stamp_ns, key=lambda start: start[0]):
            return self.starts[number - 1][1]
        number = bisect_right(self._spans, log_ns, key=lambda span: span.begin_ns)
        return self._spans[max(0, number - 1)].name


def step_topics(bag: Bag, mapping: Mapping) -> list[str]:
    """Return the topics of the VlaSteps of the mapped robot; a recording can have those of other robots as well."""
    found = [topic.name for topic in bag.of_type(VLA_STEP) if topic.count]
    if mapping.steps in found:
        return [mapping.steps]
    near = [name for name in found if any(one.startswith(name.rpartition('/')[0] + '/') for one in mapping.topics)]
    return [max(near, key=lambda name: name.count('/'))] if near else found


def _starts(bag: Bag, topics: list[str]) -> list[tuple[int, str]]:
    """Return stamp [ns] and name of each episode's first VlaStep, sorted by stamp.

    The list is empty if there are no VlaSteps, or if the recording names its episodes.
    """
    found: dict[str, int] = {}
    for sample in bag.samples(topics) if topics and len(bag.episodes) == 1 else ():
        found.setdefault(str(sample.message.episode_id), sample.stamp_ns)
    return sorted((stamp_ns, name) for name, stamp_ns in found.items())
