# SPDX-License-Identifier: Apache-2.0
"""The topics to record: what the nodes of the graph publish and subscribe, by what the ROS graph reports of them.

A node of the graph publishes messages of this package and has the namespace of the recorder: vla_node, memory nodes,
policy_switch_node, sim_node. So cameras, joint states and commands are followed under any name, and a second robot in
another namespace is left out. Executor thread only.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from rclpy.node import Node, NodeNameNonExistentError
from rclpy.topic_endpoint_info import TopicEndpointInfo
from rclpy.topic_or_service_is_hidden import topic_or_service_is_hidden

from aura_ros.recordings.type_names import CAMERA_TYPES, POLICY_STATUS, VLA_STEP
from aura_ros.recordings.types import Offer

# Recorded also without a node of the graph. The instruction is first, so that of simultaneous messages it is logged
# first.
NAMED = (
    'instruction',
    'instruction_in_force',
    '/clock',
    'sim/event',
    'joint_states',
    'joint_command',
    'policy_status',
    'aura/write_event',
    'aura/gate',
    'aura/memory_state',
    'kv/gate',
    'kv/cache_status',
    '/diagnostics',
    '/parameter_events',
    '/rosout',
    'aura/action_chunk',
    'kv/action_chunk',
    'vla_step',
)
_OURS = 'aura_ros/msg/'
# Other nodes start when topics of these types have a subscription, so they are subscribed last.
_SIGNALS = ('aura_ros/msg/ActionChunk', VLA_STEP)
_CAMERA = re.compile(r'camera/\w+/image_raw(/compressed)?', re.ASCII)


@dataclass(frozen=True)
class GraphTopics:
    """What the nodes of the graph use at one moment."""

    nodes: frozenset[str] = frozenset()
    """Names of the nodes of the graph."""
    published: dict[str, str] = field(default_factory=dict)
    """Type of each topic that they publish."""
    subscribed: dict[str, str] = field(default_factory=dict)
    """Type of each topic that they subscribe, without topics of this package."""

    @property
    def drives(self) -> bool:
        """Whether a policy switch is among the nodes."""
        return POLICY_STATUS in self.published.values()


def graph_topics(node: Node) -> GraphTopics:
    """Return what the nodes of the graph use now, as far as `node` has discovered it."""
    names: set[str] = set()
    published: dict[str, str] = {}
    subscribed: dict[str, str] = {}
    for name, namespace in node.get_node_names_and_namespaces():
        if namespace != node.get_namespace() or name.startswith('_') or name == node.get_name():
            continue
        try:
            out = node.get_publisher_names_and_types_by_node(name, namespace)
            into = node.get_subscriber_names_and_types_by_node(name, namespace)
        except NodeNameNonExistentError:  # it has left since
            continue
        if not any(kind.startswith(_OURS) for _, kinds in out for kind in kinds):
            continue
        names.add(name)
        published |= {topic: kinds[0] for topic, kinds in out if not topic_or_service_is_hidden(topic)}
        subscribed |= {topic: kinds[0] for topic, kinds in into if _is_input(topic, kinds[0])}
    return GraphTopics(frozenset(names), published, subscribed)


def _is_input(topic: str, kind: str) -> bool:
    return not kind.startswith(_OURS) and not topic_or_service_is_hidden(topic)


def wanted(node: Node, used: GraphTopics, more: Sequence[str], images: bool) -> dict[str, str]:
    """Return the topics to record in the order of subscription, each with its type.

    Args:
        node: the recorder.
        used: what the nodes of the graph use.
        more: further topics.
        images: whether to record images.
    """
    present = {topic: kinds[0] for topic, kinds in node.get_topic_names_and_types() if kinds}
    prefix = f'{node.get_namespace().rstrip("/")}/'
    cameras = [topic for topic in sorted(present) if _CAMERA.fullmatch(topic.removeprefix(prefix))]
    named = [node.resolve_topic_name(topic) for topic in (*NAMED, *more)]
    topics = dict.fromkeys([*named[: len(NAMED)], *used.published, *used.subscribed, *cameras, *named])
    kinds = {topic: present[topic] for topic in topics if topic in present}
    chosen = {topic: kind for topic, kind in kinds.items() if images or kind not in CAMERA_TYPES}
    return dict(sorted(chosen.items(), key=lambda item: item[1] in _SIGNALS))


def offer(publisher: TopicEndpointInfo) -> Offer:
    """Return the quality of service that a publisher offers."""
    profile = publisher.qos_profile
    return Offer(
        reliability=profile.reliability.name.lower(),
        durability=profile.durability.name.lower(),
        liveliness=profile.liveliness.name.lower(),
        history=profile.history.name.lower(),
        depth=profile.depth,
        deadline_ns=profile.deadline.nanoseconds,
        lifespan_ns=profile.lifespan.nanoseconds,
        lease_ns=profile.liveliness_lease_duration.nanoseconds,
    )


def type_hash(publisher: TopicEndpointInfo) -> str:
    """Return the type hash of a publisher, '' if its middleware reports none."""
    found = str(publisher.topic_type_hash)
    return found if found.startswith('RIHS01_') else ''
