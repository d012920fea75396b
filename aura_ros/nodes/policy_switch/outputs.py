# SPDX-License-Identifier: Apache-2.0
"""The command outputs of the robot: one message for each, all in the same control period."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rclpy.node import Node
from rclpy.publisher import Publisher

from aura_ros.control import RobotConfig
from aura_ros.nodes.policy_switch.gripper import GripperClient
from aura_ros.nodes.policy_switch.publishers import rivals
from aura_ros.ros import commands, qos
from aura_ros.ros.diagnostics import Status
from aura_ros.ros.entities import EntityOwner

_MakeMessage = Callable[[commands.Target, int], commands.CommandMessage]


@dataclass(frozen=True)
class _Topic:
    """A controller that takes messages."""

    columns: list[int]
    """Places of its joints in the target."""
    publisher: Publisher[commands.CommandMessage]
    make_message: _MakeMessage


class CommandOutputs:
    """Sends the parts of a target to the controllers of the robot.

    `send`, `repeat` and `forget` may be called from any thread, one at a time; the rest is for the executor thread.
    """

    def __init__(
        self,
        node: Node,
        entities: EntityOwner,
        robot: RobotConfig,
        topic: str,
        stamp: str,
        fault: Callable[[str, str], None],
    ) -> None:
        """Make the action clients; `advertise` makes the publishers.

        Args:
            node: the node that commands.
            entities: owner of the entities.
            robot: joints and outputs.
            topic: command topic of a robot without groups of outputs.
            stamp: one of `commands.STAMPS`.
            fault: called with the kind of a fault and a sentence.

        Raises:
            ConfigError: an output needs a package that is not installed.
        """
        self._node = node
        self._owner = EntityOwner(node)
        entities.on_destroy(self.withdraw)
        self._planned: list[tuple[list[int], type[commands.CommandMessage], str, _MakeMessage]] = []
        self._topics: list[_Topic] = []
        self._grippers: list[tuple[int, GripperClient]] = []
        self._last: list[tuple[_Topic, commands.CommandMessage]] = []
        for output in robot.outputs:
            columns = robot.columns(output)
            if output.command_type == 'gripper_command':
                limits = (robot.position_lower[columns[0]], robot.position_upper[columns[0]])
                client = GripperClient(node, output, limits, fault)
                entities.on_destroy(client.destroy)
                self._grippers.append((columns[0], client))
                continue
            kind, make_message = commands.maker(robot, output, stamp)
            self._planned.append((columns, kind, output.command_topic or topic, make_message))

    def advertise(self) -> None:
        """Make the publishers. They exist while the switch is active, so that an inactive switch holds no other one."""
        self.withdraw()
        for columns, kind, topic, make_message in self._planned:
            # Not managed by the lifecycle, which would enable it at the next activation.
            publisher = self._owner.publisher(kind, topic, qos.COMMAND, managed=False)
            self._topics.append(_Topic(columns, publisher, make_message))

    def withdraw(self) -> None:
        """Destroy the publishers, after the last messages have reached their subscribers."""
        self._topics, self._last = [], []
        self._owner.destroy()

    def qos_status(self) -> Status:
        """Return ERROR with the command topics whose subscribers have incompatible profiles, else OK."""
        return self._owner.qos_status()

    def send(self, target: NDArray[np.float64], stamp_ns: int) -> None:
        """Send a target, float64 [J]; `stamp_ns` is the stamp of the messages [ns, ROS clock]."""
        # All messages are made first, so that they leave together.
        self._last = [(topic, topic.make_message(target[topic.columns], stamp_ns)) for topic in self._topics]
        self.repeat()
        for column, client in self._grippers:
            client.send(float(target[column]))

    def repeat(self) -> None:
        """Publish the last messages again, if there are any."""
        for topic, message in self._last:
            topic.publisher.publish(message)

    def forget(self) -> None:
        """Forget the last messages, and the last target of each gripper."""
        self._last = []
        for _, client in self._grippers:
            client.forget()

    def poll(self) -> None:
        """Look for the action servers and report those that are missing."""
        for _, client in self._grippers:
            client.poll()

    def rivals(self) -> str:
        """Return who else publishes on a command topic, as text; '' if only this node does."""
        return '; '.join(filter(None, (rivals(self._node, topic.publisher.topic_name) for topic in self._topics)))
