# SPDX-License-Identifier: Apache-2.0
"""A gripper that takes goals of the action control_msgs/GripperCommand.

The client sends goals through the goal service of the action. It needs neither feedback nor results, because the
position of the gripper is measured. The status of the action shows whether a goal was aborted. A goal replaces the one
before.
"""

from __future__ import annotations

import importlib
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

import numpy as np
from action_msgs.msg import GoalStatus, GoalStatusArray
from rclpy.client import Client
from rclpy.node import Node
from rclpy.qos import qos_profile_action_status_default
from rclpy.task import Future
from sensor_msgs.msg import JointState

from aura_ros.common.errors import ConfigError
from aura_ros.control import OutputConfig
from aura_ros.ros import qos
from aura_ros.ros.entities import EntityOwner

# Time without a response after which a goal counts as lost, and until a refused or aborted goal is sent again [s].
_TIMEOUT_S, _RETRY_S = 1.0, 0.5
# Share of the range below which a change of the target is no new goal: each goal interrupts the one before [1].
_TOLERANCE = 0.01
# A server reports all goals of the last 15 minutes.
_STATUS_BYTES = 131_072
_ENDED = {GoalStatus.STATUS_ABORTED: 'aborted', GoalStatus.STATUS_CANCELED: 'cancelled'}


def gripper_command() -> type[Any]:
    """Return the type of the action.

    Raises:
        ConfigError: control_msgs is not installed.
    """
    try:
        action: type[Any] = importlib.import_module('control_msgs.action').GripperCommand
    except ImportError as error:
        raise ConfigError(
            f"command_type 'gripper_command' needs the ROS package control_msgs ({error}): install it, for example "
            'with apt install ros-$ROS_DISTRO-control-msgs'
        ) from error
    return action


def make_goal(action: type[Any], position: float, max_effort: float) -> Any:
    """Return a goal of the action: a position [rad or m] and the largest effort [N]."""
    goal = action.Goal()
    goal.command.position, goal.command.max_effort = float(position), float(max_effort)
    return goal


class GripperClient:
    """Sends a goal whenever the target has changed by more than a tolerance, or has reached a limit.

    `send` may be called from any thread and never waits. All other methods are for the executor thread. Times are on
    the steady clock.
    """

    def __init__(
        self, node: Node, output: OutputConfig, limits: tuple[float, float], fault: Callable[[str, str], None]
    ) -> None:
        """Make the client.

        Args:
            node: the node of the client.
            output: name, action and largest effort.
            limits: lowest and highest position [rad or m].
            fault: called with the kind of a fault and a sentence.

        Raises:
            ConfigError: control_msgs is not installed.
        """
        self._action = gripper_command()
        self._service = self._action.Impl.SendGoalService
        self._node, self._output, self._fault = node, output, fault
        self._client: Client[Any, Any] = node.create_client(self._service, f'{output.command_topic}/_action/send_goal')
        # A goal is a service call, which no recorder receives.
        self._commands = node.create_publisher(JointState, f'{output.command_topic}/commanded', qos.COMMAND)
        self._limits, self._tolerance = limits, _TOLERANCE * (limits[1] - limits[0])
        self._lock = threading.Lock()
        self._ready = False
        # The target of the last goal that was sent and not refused; None: the next target is sent.
        self._sent: float | None = None
        self._goal_id = b''
        self._pending: dict[Future[Any], float] = {}
        self._retry_at = 0.0
        self._reported_at = 0.0
        self._owner = EntityOwner(node)
        self._owner.limited_subscription(
            GoalStatusArray,
            f'{output.command_topic}/_action/status',
            lambda found, _: self._on_status(found),
            qos_profile_action_status_default,
            _STATUS_BYTES,
            lambda text: self._report('status', f'has an unusable status: {text}'),
        )

    def send(self, position: float) -> None:
        """Send `position` as a goal if it is a new target, and publish it [rad or m]."""
        with self._lock:
            now = time.monotonic()
            if self._ready:
                command = JointState(name=list(self._output.joint_names), position=[float(position)])
                command.header.stamp = self._node.get_clock().now().to_msg()
                self._commands.publish(command)
            if not self._ready or now < self._retry_at or not self._is_new(position):
                return
            request = self._service.Request()
            self._goal_id = uuid.uuid4().bytes
            request.goal_id.uuid = np.frombuffer(self._goal_id, np.uint8)
            request.goal = make_goal(self._action, position, self._output.max_effort)
            future = self._client.call_async(request)
            self._pending[future] = now
            self._sent = position
        future.add_done_callback(self._on_response)

    def _is_new(self, position: float) -> bool:
        """Return whether a target is far enough from the last one. A limit is always sent: it opens or closes fully."""
        if self._sent is None or position in self._limits:
            return position != self._sent
        return abs(position - self._sent) > self._tolerance

    def forget(self) -> None:
        """Send the next target in any case: the gripper may have been moved by others."""
        with self._lock:
            self._sent = None

    def poll(self) -> None:
        """Look for the action server and report goals without a response."""
        ready, now = self._client.service_is_ready(), time.monotonic()
        with self._lock:
            lost = [future for future, sent_at in self._pending.items() if now - sent_at > _TIMEOUT_S]
            for future in lost:
                del self._pending[future]
                self._client.remove_pending_request(future)
            self._ready = ready
            if lost or not ready:
                self._sent = None
        if not ready:
            self._report('missing', 'has no action server: start the driver of the gripper, or correct command_topic')
        elif lost:
            self._report('silent', f'does not respond to a goal within {_TIMEOUT_S:g} s')

    def _on_response(self, future: Future[Any]) -> None:
        response = future.result() if future.done() and not future.cancelled() else None
        with self._lock:
            known = self._pending.pop(future, None) is not None
            refused = known and response is not None and not response.accepted
            if refused:
                self._sent, self._retry_at = None, time.monotonic() + _RETRY_S
        if refused:
            self._report('refused', 'refuses a goal: is the gripper active, and the target within its range?')

    def _on_status(self, message: GoalStatusArray) -> None:
        """Send the target again if the server has ended its goal; a goal that was replaced does not count."""
        with self._lock:
            found = {bytes(goal.goal_info.goal_id.uuid): goal.status for goal in message.status_list}
            ended = _ENDED.get(found.get(self._goal_id, GoalStatus.STATUS_UNKNOWN))
            if ended:
                self._goal_id, self._sent, self._retry_at = b'', None, time.monotonic() + _RETRY_S
        if ended:
            self._report('aborted', f'has {ended} a goal, which is sent again: did the gripper stall or stop?')

    def _report(self, kind: str, text: str) -> None:
        """Report a fault, at most once a second."""
        if time.monotonic() - self._reported_at >= 1.0:
            self._reported_at = time.monotonic()
            self._fault(f'{self._output.name} {kind}', f'{self._output.command_topic} {text}')

    def destroy(self) -> None:
        """Leave the graph."""
        self._owner.destroy()
        self._node.destroy_client(self._client)
        self._node.destroy_publisher(self._commands)
