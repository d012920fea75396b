# SPDX-License-Identifier: Apache-2.0
"""Which arms can still deliver, from how many living publishers their topics have. Pure Python."""

from collections.abc import Mapping

from aura_ros.control import Arm

# Which arms have nothing to say once nobody publishes a topic; without vla_node it is all of them.
TOPICS: Mapping[str, frozenset[Arm]] = {
    'vla_step': frozenset(Arm),
    'aura/action_chunk': frozenset({Arm.AURA}),
    'kv/action_chunk': frozenset({Arm.KV}),
}


class Peers:
    """Follows the liveliness of the topics that each arm depends on. One thread.

    A topic on which nobody was ever seen is not lost: the graph is still coming up.
    """

    def __init__(self, topics: Mapping[str, frozenset[Arm]]) -> None:
        """Take each topic with the arms that have nothing to say once its publisher is gone."""
        self._topics = dict(topics)
        self._alive: dict[str, int | None] = dict.fromkeys(topics)

    def update(self, topic: str, alive: int) -> tuple[frozenset[Arm], frozenset[Arm]]:
        """Note that `alive` publishers are left; returns the arms just lost and just found."""
        before = frozenset(self.lost)
        if alive or self._alive[topic] is not None:
            self._alive[topic] = alive
        after = frozenset(self.lost)
        return after - before, before - after

    @property
    def lost(self) -> dict[Arm, str]:
        """The arms that cannot deliver, and why."""
        return {
            arm: f'nobody publishes {topic} any more: its node died, lost the network, or was slower than '
            'liveliness_lease_s'
            for topic, arms in self._topics.items()
            if self._alive[topic] == 0
            for arm in arms
        }
