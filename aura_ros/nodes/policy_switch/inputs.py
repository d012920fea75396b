# SPDX-License-Identifier: Apache-2.0
"""Subscriptions of policy_switch_node: action chunks of each policy, and measured positions."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from geometry_msgs.msg import PoseStamped
from rclpy.qos import QoSProfile
from sensor_msgs.msg import JointState

from aura_ros.common.errors import InputError
from aura_ros.common.limits import JOINTS_BYTES, STEP_BYTES
from aura_ros.control import Chunk, Policy, RobotConfig
from aura_ros.msg import ActionChunk, VlaStep
from aura_ros.nodes.policy_switch.joint_monitor import JointMonitor
from aura_ros.ros import conversions, qos
from aura_ros.ros.entities import EntityOwner

M = TypeVar('M', VlaStep, ActionChunk)
P = TypeVar('P', JointState, PoseStamped)

Take = Callable[[JointMonitor, int], bool]
"""Lets a joint monitor take the positions of a message at a time [ns], and returns whether it did."""


@dataclass(frozen=True)
class ChunkHandlers:
    """What follows from the messages of a policy."""

    accept: Callable[[Chunk, Policy, bytes, str], None]
    """Gets a chunk, the policy of its topic, the id of its publisher (empty if unknown), and the topic."""
    refuse: Callable[[Policy, str], None]
    """Gets the policy of the topic, and why a message has no chunk."""
    liveliness: Callable[[Policy, str, int], None]
    """Gets the policy, the topic, and the number of publishers that are alive."""


def watch_chunks(entities: EntityOwner, lease_s: float, handlers: ChunkHandlers) -> dict[str, Policy]:
    """Subscribe to the chunks of all policies, and return the policy of each topic."""

    def watch(
        policy: Policy, message: type[M], topic: str, convert: Callable[[M], Chunk], profile: QoSProfile
    ) -> tuple[str, Policy]:
        def receive(found: M, publisher: bytes) -> None:
            try:
                chunk = convert(found)
            except InputError as error:
                handlers.refuse(policy, str(error))
                return
            handlers.accept(chunk, policy, publisher, topic)

        entities.limited_subscription(
            message,
            topic,
            lambda found, publisher: receive(found, publisher()),
            profile,
            STEP_BYTES,
            lambda text: handlers.refuse(policy, text),
            liveliness=lambda event: handlers.liveliness(policy, topic, event.alive_count),
        )
        return topic, policy

    from_step, from_chunk = conversions.base_chunk_from_msg, conversions.chunk_from_msg
    step, chunk = qos.step(lease_s), qos.chunk(lease_s)
    return dict(
        (
            watch(Policy.BASE, VlaStep, 'vla_step', from_step, step),
            watch(Policy.AURA, ActionChunk, 'aura/action_chunk', from_chunk, chunk),
            watch(Policy.KV, ActionChunk, 'kv/action_chunk', from_chunk, chunk),
        )
    )


def watch_positions(
    entities: EntityOwner,
    robot: RobotConfig,
    profile: QoSProfile,
    receive: Callable[[int, Sequence[str], Take], None],
    fault: Callable[[str, str], None],
) -> None:
    """Subscribe to the joint states and poses of a robot.

    Args:
        entities: owner of the subscriptions.
        robot: its sources and outputs have the topics.
        profile: QoS of all of them.
        receive: gets the stamp [ns], the names of the joints (none for a pose), and how a joint monitor takes them.
        fault: gets the kind and the reason of a message that is refused.
    """

    def watch(message: type[P], topic: str, take: Callable[[JointMonitor, P, int, str], bool]) -> None:
        entities.limited_subscription(
            message,
            topic,
            lambda found, _: receive(
                conversions.to_ns(found.header.stamp),
                found.name if isinstance(found, JointState) else (),
                lambda joints, now_ns: take(joints, found, now_ns, topic),
            ),
            profile,
            JOINTS_BYTES,
            lambda text: fault('joint_states', f'{topic}: {text}'),
        )

    for topic in robot.sources.topics:
        watch(JointState, topic, JointMonitor.take)
    for output in robot.outputs:
        if output.state_topic:
            watch(PoseStamped, output.state_topic, JointMonitor.take_pose)
