# SPDX-License-Identifier: Apache-2.0
"""Which publisher an episode belongs to."""

from collections.abc import Collection

from aura_ros.common.names import Policy


class EpisodeOwners:
    """Binds each policy, and the running episode, to the publisher that was there first. Not thread-safe.

    A publisher is identified by its global id. Another publisher of the same topic is foreign as long as the first one
    exists. An episode begins with a step of the publisher of `vla_step`; without one, the publisher whose chunk began
    the running episode may begin the next one.
    """

    def __init__(self) -> None:
        self._owners: dict[Policy, bytes] = {}
        self._leader: bytes | None = None

    def problem(self, policy: Policy, publisher: bytes, begins: bool) -> str:
        """Return why `publisher` may not deliver for `policy`, '' if it may; `begins`: its chunk begins an episode."""
        owner = self._owners.get(policy, publisher)
        if owner != publisher:
            return f'publisher {publisher.hex()} is foreign: the episode belongs to publisher {owner.hex()}'
        if begins and policy is not Policy.BASE and self._leader not in (None, publisher):
            return 'a chunk of another episode arrived: only a step on vla_step begins an episode'
        return ''

    def accept(self, policy: Policy, publisher: bytes, begins: bool) -> None:
        """Bind the policy to a publisher whose `problem` is ''."""
        self._owners[policy] = publisher
        if policy is Policy.BASE or (begins and self._leader is None):
            self._leader = publisher

    def foreign(self, policy: Policy, publisher: bytes) -> bool:
        """Return whether the policy belongs to another publisher."""
        return self._owners.get(policy, publisher) != publisher

    def keep(self, policy: Policy, alive: Collection[bytes]) -> None:
        """Release the policy unless its publisher is among those that are `alive`."""
        owner = self._owners.get(policy)
        if owner is None or owner in alive:
            return
        del self._owners[policy]
        if self._leader == owner:
            self._leader = None
