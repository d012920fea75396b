# SPDX-License-Identifier: Apache-2.0
"""Which publishers of the graph still exist, so that a restarted node can take over its policy."""

import time

from rclpy.node import Node

from aura_ros.common.names import Policy
from aura_ros.control import PolicySwitch

_QUERY_EVERY_S = 0.1
# Without a liveliness lease the graph shows a killed publisher for seconds. One that was silent for so long is taken as
# gone if another one continues the running episode.
_SILENT_S = 1.0


class PublisherWatch:
    """Releases the policies of publishers that are gone. Executor thread only. Steady clock."""

    def __init__(self, node: Node, without_lease: bool) -> None:
        """Query the graph of `node`; `without_lease`: no liveliness event reports that a publisher died."""
        self._node = node
        self._without_lease = without_lease
        self._queried_at: dict[Policy, float] = {}
        self._accepted_at: dict[Policy, float] = {}

    def accepted(self, policy: Policy) -> None:
        """Note that the owner of the policy delivered."""
        self._accepted_at[policy] = time.monotonic()

    def release_gone(self, switch: PolicySwitch, policy: Policy, topic: str, episode_id: str) -> None:
        """Release the policy if its publisher is gone; `episode_id` is that of the foreign chunk."""
        now = time.monotonic()
        continues = policy is not Policy.BASE and episode_id == switch.status.episode_id
        if self._without_lease and continues and now - self._accepted_at.get(policy, now) > _SILENT_S:
            switch.owners.keep(policy, ())
            return
        if now - self._queried_at.get(policy, 0.0) < _QUERY_EVERY_S:
            return
        self._queried_at[policy] = now
        found = self._node.get_publishers_info_by_topic(topic)
        switch.owners.keep(policy, {bytes(each.endpoint_gid) for each in found})
