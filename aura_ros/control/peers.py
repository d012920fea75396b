# SPDX-License-Identifier: Apache-2.0
"""Which policies can still deliver, from how many living publishers their topics have. Pure Python."""

from collections.abc import Mapping

from aura_ros.control import Policy

# Which policies have nothing to say once nobody publishes a topic; without vla_node it is all of them.
TOPICS: Mapping[str, frozenset[Policy]] = {
    'vla_step': frozenset(Policy),
    'aura/action_chunk': frozenset({Policy.AURA}),
    'kv/action_chunk': frozenset({Policy.KV}),
}


class Peers:
    """Follows the liveliness of the topics that each policy depends on. One thread.

    A topic on which nobody was ever seen is not lost: the graph is still coming up.
    """

    def __init__(self, topics: Mapping[str, frozenset[Policy]]) -> None:
        """Take each topic with the policies that have nothing to say once its publisher is gone."""
        self._topics = dict(topics)
        self._alive: dict[str, int | None] = dict.fromkeys(topics)

    def update(self, topic: str, alive: int) -> tuple[frozenset[Policy], frozenset[Policy]]:
        """Note that `alive` publishers are left; returns the policies just lost and just found."""
        before = frozenset(self.lost)
        if alive or self._alive[topic] is not None:
            self._alive[topic] = alive
        after = frozenset(self.lost)
        return after - before, before - after

    @property
    def lost(self) -> dict[Policy, str]:
        """The policies that cannot deliver, and why."""
        return {
            policy: f'nobody publishes {topic} any more: its node died, lost the network, or was slower than '
            'liveliness_lease_s'
            for topic, policies in self._topics.items()
            if self._alive[topic] == 0
            for policy in policies
        }
