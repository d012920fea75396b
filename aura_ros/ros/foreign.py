# SPDX-License-Identifier: Apache-2.0
"""What in a graph belongs to other programs, so that a source of inputs or goals does not move their robot.

The functions describe what they find, one text each. `refuse_foreign` waits for discovery first.
"""

import time
from collections.abc import Callable, Collection, Iterable

from rclpy.node import Node

from aura_ros.common.errors import AuraError

PARAMETER = 'allow_shared_graph'
PARAMETER_TEXT = 'Start even if other programs publish the same inputs or drive a robot; false refuses and names them'
# Discovery is complete when nothing new was found for so long, and it is not awaited for longer than that [s].
_QUIET_S, _LONGEST_S = 1.0, 5.0
_TURN_S = 0.05
_SWITCH_TYPE = 'aura_ros/msg/PolicyStatus'


class SharedGraphError(AuraError):
    """Other programs use the graph; the text names them and the fix."""


def foreign_publishers(node: Node, topics: Iterable[str], own_nodes: Collection[str] = ()) -> list[str]:
    """Return the publishers of `topics` that belong neither to `node` nor to `own_nodes`.

    Args:
        node: the node that looks; a second node with its name is foreign.
        topics: names, relative to the namespace of `node` or absolute.
        own_nodes: full names of nodes that may publish the topics.
    """
    found = []
    for topic in map(node.resolve_topic_name, topics):
        own = sum(publisher.topic_name == topic for publisher in node.publishers)
        for end in node.get_publishers_info_by_topic(topic):
            name = _full_name(end.node_name, end.node_namespace)
            if name == node.get_fully_qualified_name() and own:
                own -= 1
            elif name not in own_nodes:
                found.append(f'{name} publishes {topic}')
    return found


def policy_switches(node: Node) -> list[str]:
    """Return the policy switches in every namespace of the domain."""
    topics = [topic for topic, types in node.get_topic_names_and_types() if _SWITCH_TYPE in types]
    return [
        f'{_full_name(end.node_name, end.node_namespace)} is a policy switch (it publishes {topic})'
        for topic in topics
        for end in node.get_publishers_info_by_topic(topic)
    ]


def several_servers(node: Node, services: Iterable[str] = (), actions: Iterable[str] = ()) -> list[str]:
    """Return the services and actions that have more than one server."""
    names = {node.resolve_service_name(name): name for name in services}
    names |= {node.resolve_service_name(f'{name}/_action/send_goal'): name for name in actions}
    return [
        f'{shown} has {count} servers ({", ".join(servers_of(node, name))})'
        for name, shown in names.items()
        if (count := node.count_services(name)) > 1
    ]


def servers_of(node: Node, service: str) -> list[str]:
    """Return the full names of the nodes that serve `service`."""
    full = node.resolve_service_name(service)
    return [
        _full_name(name, namespace)
        for name, namespace in node.get_node_names_and_namespaces()
        if full in dict(_services(node, name, namespace))
    ]


def refuse_foreign(node: Node, find: Callable[[], list[str]], wait: Callable[[float], object] = time.sleep) -> None:
    """Wait until discovery finds nothing new, and refuse to start if `find` returns anything then.

    Args:
        node: the node that looks.
        find: returns what belongs to others, in words.
        wait: lets time pass [s].

    Raises:
        SharedGraphError: `find` returned something; the text names it.
    """
    began = quiet_from = time.monotonic()
    seen: object = None
    while (now := time.monotonic()) - quiet_from < _QUIET_S and now - began < _LONGEST_S:
        wait(_TURN_S)
        if (state := (_snapshot(node), find())) != seen:
            seen, quiet_from = state, time.monotonic()
    raise_foreign(node, find())


def raise_foreign(node: Node, found: list[str]) -> None:
    """Raise SharedGraphError if `found` names anything."""
    if found:
        raise SharedGraphError(
            f'{node.get_name()} does not run beside other sources or a robot: {"; ".join(found)} (ROS_DOMAIN_ID '
            f'{node.context.get_domain_id()}). End them, use another ROS_DOMAIN_ID or namespace, or set parameter '
            f"'{PARAMETER}' to true"
        )


def _snapshot(node: Node) -> object:
    return sorted(node.get_node_names_and_namespaces()), node.get_topic_names_and_types()


def _services(node: Node, name: str, namespace: str) -> list[tuple[str, list[str]]]:
    try:
        return node.get_service_names_and_types_by_node(name, namespace)
    except RuntimeError:  # the node has left since it was listed
        return []


def _full_name(name: str, namespace: str) -> str:
    return f'{namespace.rstrip("/")}/{name}'
