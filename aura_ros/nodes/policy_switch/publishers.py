# SPDX-License-Identifier: Apache-2.0
"""Which publishers of the graph exist: a restarted node takes over its policy, a second commander holds the robot."""

import time

from rclpy.node import Node

from aura_ros.common.names import Policy
from aura_ros.control import PolicySwitch

_QUERY_EVERY_S = 0.1
_MAX_NAMES = 8
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


def rivals(node: Node, topic: str) -> str:
    """Return who else publishes commands on `topic`, as text; '' if only `node` does.

    One endpoint with the node's own name is its own. A second node of the same name counts as another one.
    """
    if node.count_publishers(topic) < 2:
        return ''
    names = [_full_name(each.node_namespace, each.node_name) for each in node.get_publishers_info_by_topic(topic)]
    own = node.get_fully_qualified_name()
    if own in names:
        names.remove(own)
    if not names:
        return ''
    shown = ', '.join(names[:_MAX_NAMES]) + (f' and {len(names) - _MAX_NAMES} more' if len(names) > _MAX_NAMES else '')
    return f'{topic} has another publisher: {shown}: only one may command the robot, end the other one'


def _full_name(namespace: str, name: str) -> str:
    return f'{namespace.rstrip("/")}/{name}'
