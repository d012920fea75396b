# SPDX-License-Identifier: Apache-2.0
"""The player's part of the graph: its publishers, and its subscriptions to the nodes that respond.

Executor thread only. Time-outs use the steady clock. The player itself publishes /clock.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from rclpy.action.client import ActionClient
from rclpy.duration import Duration
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.publisher import Publisher
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CompressedImage, Image, JointState
from std_msgs.msg import String

from aura_ros.action import RunEpisode
from aura_ros.common.errors import AuraError
from aura_ros.msg import GateSample, VlaStep, WriteEvent
from aura_ros.ros import foreign, qos, waiting
from aura_ros.ros.conversions import to_ns, to_stamp
from aura_ros.vla.instruction import usable_instruction

GATES = {'aura': 'aura/gate', 'kv': 'kv/gate'}
"""Gate topic of each memory policy, with one message per step."""
BAG_PLAYER = '/rosbag2_player'
"""Full name of the node of `ros2 bag play`."""
_CALL_S = 20.0
# Longest wait for the answer to the cancellation when the player ends early [s].
_ABANDON_S = 1.0
# Period at which a running player looks for other sources and robots [s].
_LOOK_EVERY_S = 1.0
_RETRY_S = 0.5
_ACKED_S = 1.0
# Largest instruction of a goal [characters].
_GOAL_CHARS = 256
# Received messages that are handled between two published ones [1].
_TAKEN = 4


class PlayerError(AuraError):
    """The replay cannot continue; the text names the node that does not answer."""


class PlayerGraph:
    """Publishers, subscriptions and the client of run_episode.

    Attributes:
        step_stamp_ns: stamp of the newest step on vla_step [ns]; -1 before the first.
        steps: number of received steps [1].
        answered: (episode_id, seq) of the newest gate sample, by policy.
        writes: number of writes in AURA's gate samples [1].
        write_events: number of received write events [1].
        last_crc: CRC-32 of the state after the last write event; 0 before the first.
    """

    def __init__(self, node: Node, executor: SingleThreadedExecutor, policies: Sequence[str]) -> None:
        """Join the graph with `node`, which `executor` spins; `policies` are the names in GATES that have to answer."""
        self._node, self._executor = node, executor
        self.policies = tuple(policies)
        self.step_stamp_ns = -1
        self.steps = self.writes = self.write_events = self.last_crc = 0
        self.answered: dict[str, tuple[str, int]] = {}
        self._clock: Publisher[Clock] | None = None
        self._publishers: dict[str, Any] = {}
        self._instruction = ''
        self._episodes: ActionClient[Any, Any, Any] | None = None
        self._handle: Any = None
        self._exclusive: tuple[str, ...] | None = None
        self._bag_player = False
        self._looked_at = time.monotonic()
        subscribe = node.create_subscription
        subscribe(VlaStep, 'vla_step', self._on_step, qos.step())
        subscribe(WriteEvent, 'aura/write_event', self._on_write, qos.WRITE_EVENT_LIVE)
        for policy in policies:
            subscribe(GateSample, GATES[policy], partial(self._on_gate, policy), qos.GATE)

    def _on_step(self, message: VlaStep) -> None:
        self.step_stamp_ns = to_ns(message.header.stamp)
        self.steps += 1

    def _on_gate(self, policy: str, message: GateSample) -> None:
        self.answered[policy] = (message.episode_id, message.seq)
        self.writes += policy == 'aura' and message.written

    def _on_write(self, message: WriteEvent) -> None:
        self.write_events += 1
        self.last_crc = message.state_crc32

    def require_alone(self, cameras: Sequence[str], source: str) -> None:
        """Refuse a graph that others feed or drive, now and while the player runs; call it before `open_clock`.

        Args:
            cameras: cameras of the backbone.
            source: 'inputs' or 'steps'.

        Raises:
            SharedGraphError: another program publishes what the player publishes, a policy switch can move a robot, or
                a node of the replay exists twice.
        """
        images = [f'camera/{camera}/image_raw' for camera in cameras]
        inputs = (*images, *(f'{image}/compressed' for image in images), 'joint_states', 'instruction')
        self._exclusive = ('/clock', *(inputs if source == 'inputs' else ('vla_step',)))
        foreign.refuse_foreign(self._node, self._foreign, lambda seconds: self._spin(lambda: False, seconds))

    def _foreign(self) -> list[str]:
        node = self._node
        found = foreign.policy_switches(node) + foreign.several_servers(node, actions=['run_episode'])
        found += foreign.foreign_publishers(node, self._exclusive or (), [BAG_PLAYER] if self._bag_player else [])
        for gate in (GATES[policy] for policy in self.policies):
            if len(publishers := foreign.foreign_publishers(node, [gate])) > 1:
                found += publishers
        return found

    def _look(self) -> None:
        if self._exclusive is not None and time.monotonic() - self._looked_at > _LOOK_EVERY_S:
            self._looked_at = time.monotonic()
            foreign.raise_foreign(self._node, self._foreign())

    def resolved(self, topic: str) -> str:
        """Return the full name of a topic."""
        return self._node.resolve_topic_name(topic)

    def spin_until(self, done: Callable[[], bool], timeout_s: float) -> bool:
        """Spin until `done` or the time-out, and return whether it is done.

        Raises:
            SharedGraphError: another source or a robot has appeared in the graph.
        """
        self._look()
        return self._spin(done, timeout_s)

    def _spin(self, done: Callable[[], bool], timeout_s: float) -> bool:
        return waiting.spin_until(self._executor, done, timeout_s)

    def spin_some(self) -> None:
        """Handle some of the received messages."""
        for _ in range(_TAKEN):
            self._executor.spin_once(timeout_sec=0.0)

    def wait_for(self, missing: Callable[[], list[str]], timeout_s: float) -> None:
        """Wait until nothing is missing.

        Raises:
            PlayerError: something is missing after `timeout_s`; the text names it.
        """
        if not self.spin_until(lambda: not missing(), timeout_s):
            raise PlayerError(f'{", ".join(missing())} missing after {timeout_s:g} s: start the whole graph')

    def missing(self, step_subscribers: int = 0) -> list[str]:
        """Return the missing parts of the graph, in words.

        Args:
            step_subscribers: subscriptions to vla_step to wait for, besides the player's own.
        """
        found = [] if self._episodes is None or self._episodes.server_is_ready() else ['vla_node']
        for topic, publisher in self._publishers.items():
            needed = step_subscribers + 1 if topic == 'vla_step' else 1  # the player subscribes too
            if publisher.get_subscription_count() < needed:
                found.append(f'a subscription to {topic}')
        nodes = {'aura': 'memory_node', 'kv': 'kv_baseline_node'}
        return found + [nodes[policy] for policy in self.policies if not self._node.count_publishers(GATES[policy])]

    def open_inputs(self, images: Mapping[str, type[Image] | type[CompressedImage]]) -> None:
        """Create the publishers of images (topic and type), joints and instruction, and the client of vla_node."""
        make = self._node.create_publisher
        for topic, kind in images.items():
            self._publishers[topic] = make(kind, topic, qos.CAMERA_OUT)
        self._publishers['joint_states'] = make(JointState, 'joint_states', qos.JOINT_STATES_OUT)
        self.open_client()

    def open_clock(self) -> None:
        """Create the publisher of /clock."""
        self._clock = self._node.create_publisher(Clock, '/clock', qos.CLOCK)

    def expect_bag_player(self) -> None:
        """Accept that `ros2 bag play` publishes the inputs."""
        self._bag_player = True

    def open_client(self) -> None:
        """Create the client of vla_node and the publisher of the instruction."""
        self._publishers['instruction'] = self._node.create_publisher(String, 'instruction', qos.INSTRUCTION)
        self._episodes = ActionClient(self._node, RunEpisode, 'run_episode')

    def open_steps(self) -> None:
        """Create the publisher of vla_step, in place of vla_node."""
        self._publishers['vla_step'] = self._node.create_publisher(VlaStep, 'vla_step', qos.step())

    def tick(self, now_ns: int) -> None:
        """Publish the time [ns]."""
        assert self._clock is not None
        self._clock.publish(Clock(clock=to_stamp(now_ns)))

    def publish(self, messages: Mapping[str, Any]) -> None:
        """Publish messages or serialised messages by topic."""
        for topic, message in messages.items():
            self._publishers[topic].publish(message)

    def instruct(self, text: str) -> None:
        """Publish an instruction if it is new, and wait up to 1 s for its subscribers."""
        if (given := usable_instruction(text)) not in ('', self._instruction):
            self._instruction = given
            publisher = self._publishers['instruction']
            publisher.publish(String(data=given))
            publisher.wait_for_all_acked(Duration(seconds=_ACKED_S))

    def begin_episode(self, instruction: str, timeout_s: float) -> None:
        """Start an episode of vla_node. An instruction that is too long for a goal is on the topic only.

        Raises:
            PlayerError: vla_node does not answer, or still refuses after `timeout_s`.
        """
        assert self._episodes is not None
        end = time.monotonic() + timeout_s
        self.instruct(instruction)
        goal = RunEpisode.Goal(instruction=instruction if len(instruction) <= _GOAL_CHARS else '', max_steps=0)
        while True:
            handle = self._answer(self._episodes.send_goal_async(goal))
            if handle.accepted:
                self._handle = handle
                self.step_stamp_ns = -1
                return
            if time.monotonic() > end:
                raise PlayerError('vla_node refuses the episode: see its log and /diagnostics')
            self.spin_until(lambda: False, _RETRY_S)

    def end_episode(self) -> Any:
        """End the episode and return its result, or None without an episode.

        Raises:
            PlayerError: vla_node does not answer.
        """
        handle, self._handle = self._handle, None
        if handle is None:
            return None
        result = handle.get_result_async()
        self._answer(handle.cancel_goal_async())
        return self._answer(result).result

    def abandon_episode(self) -> None:
        """Cancel the running episode, if any, when the player ends early; wait up to 1 s for the answer."""
        handle, self._handle = self._handle, None
        if handle is not None:
            self._spin(handle.cancel_goal_async().done, _ABANDON_S)

    def _answer(self, future: Any) -> Any:
        if not self.spin_until(future.done, _CALL_S):
            raise PlayerError(f'vla_node did not answer within {_CALL_S:g} s')
        return future.result()
