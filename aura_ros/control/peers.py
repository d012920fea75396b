# SPDX-License-Identifier: Apache-2.0
"""Which policies can still deliver, from the number of living publishers of their topics."""

from collections.abc import Mapping

from aura_ros.common.names import Policy

TOPICS: Mapping[str, frozenset[Policy]] = {
    'vla_step': frozenset(Policy),
    'aura/action_chunk': frozenset({Policy.AURA}),
    'kv/action_chunk': frozenset({Policy.KV}),
}
"""By topic, the policies that stop when its publisher is gone. Without vla_node all of them do."""


class Peers:
    """Tracks the liveliness of the topics that each policy depends on. Not thread-safe.

    A topic that never had a publisher is not lost: the graph is still starting.
    """

    def __init__(self, topics: Mapping[str, frozenset[Policy]]) -> None:
        """Track `topics`; each maps to the policies that depend on it."""
        self._topics = dict(topics)
        self._alive: dict[str, int | None] = dict.fromkeys(topics)

    def update(self, topic: str, alive: int) -> tuple[frozenset[Policy], frozenset[Policy]]:
        """Set the number of living publishers; return the policies just lost and just found."""
        before = frozenset(self.lost)
        if alive or self._alive[topic] is not None:
            self._alive[topic] = alive
        after = frozenset(self.lost)
        return after - before, before - after

    @property
    def lost(self) -> dict[Policy, str]:
        """The policies that cannot deliver, with the reason."""
        return {
            policy: f'{topic} has no publisher any more: its node died, lost the network, or was slower than '
            'liveliness_lease_s'
            for topic, policies in self._topics.items()
            if self._alive[topic] == 0
            for policy in policies
        }
