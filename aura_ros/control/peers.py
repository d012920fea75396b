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
        self._lost_ns: dict[str, int] = {}

    def update(self, topic: str, alive: int, now_ns: int) -> tuple[frozenset[Policy], frozenset[Policy]]:
        """Set the number of living publishers at `now_ns` [ns, ROS clock]; return the policies just lost and found."""
        before = frozenset(self.lost)
        if alive or self._alive[topic] is not None:
            self._alive[topic] = alive
        if alive:
            self._lost_ns.pop(topic, None)
        else:
            self._lost_ns[topic] = now_ns
        after = frozenset(self.lost)
        return after - before, before - after

    def seen(self, topic: str) -> None:
        """Note that a message arrived: it has a publisher, even if the middleware missed the event of its arrival."""
        if self._alive[topic] is None:
            self._alive[topic] = 1

    def alive(self, topic: str) -> bool:
        """Return whether the topic has a living publisher as far as is known."""
        return bool(self._alive[topic])

    def proves_return(self, topic: str, observed_ns: int, now_ns: int) -> bool:
        """Return whether an observation on a lost topic was made after its loss; both times are on the ROS clock [ns].

        Under load, Fast DDS can miss the event of a publisher's return. A message that a publisher sent before it died
        cannot contain a later observation.
        """
        lost_ns = self._lost_ns.get(topic)
        return lost_ns is not None and lost_ns < observed_ns <= now_ns

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
