# SPDX-License-Identifier: Apache-2.0
"""The client's place in the graph: its node, and how it waits for other nodes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Self

import rclpy
from rclpy.client import Client
from rclpy.exceptions import InvalidNamespaceException
from rclpy.executors import SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions
from rclpy.task import Future

from aura_ros.client.values import GraphError
from aura_ros.common.errors import ConfigError
from aura_ros.ros import waiting
from aura_ros.ros.calls import RESEND_S, ServiceCall, no_response

RETRY_S = 0.5


class GraphConnection:
    """A node with its own context and executor. Not thread-safe; messages arrive only inside its methods.

    Args:
        namespace: namespace of the robot, for example '/left'.
        timeout_s: longest wait for a node to appear, and for its response [s, steady clock].
        node_name: name of the node in the graph.
        arguments: ROS arguments, for example ['--ros-args', '-p', 'use_sim_time:=true'].

    Raises:
        ConfigError: the namespace is not a valid ROS name.
    """

    def __init__(self, namespace: str, timeout_s: float, node_name: str, arguments: Sequence[str]) -> None:
        self.timeout_s = timeout_s
        self._context = rclpy.Context()
        # Signals stay with Python: Ctrl-C raises KeyboardInterrupt inside the method that waits.
        rclpy.init(args=list(arguments), context=self._context, signal_handler_options=SignalHandlerOptions.NO)
        try:
            self.node = rclpy.create_node(node_name, namespace=namespace or None, context=self._context)
        except InvalidNamespaceException as error:
            self._context.try_shutdown()
            raise ConfigError(f'namespace = {namespace!r} is not a ROS name, such as /left: {error}') from error
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self._ready: dict[str, Callable[[], bool]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Leave the graph."""
        self._executor.shutdown()
        self.node.destroy_node()
        self._context.try_shutdown()

    def missing(self, *nodes: str) -> list[str]:
        """Return those of `nodes`, by default of all nodes, whose services are not available."""
        return [name for name in nodes or self._ready if not self._ready[name]()]

    def wait_for(self, *nodes: str, timeout_s: float | None = None) -> None:
        """Wait until `nodes`, by default all nodes, are available.

        Raises:
            GraphError: a node is still missing after `timeout_s`, by default that of the client.
        """
        longest_s = self.timeout_s if timeout_s is None else timeout_s
        if not self.spin_until(lambda: not self.missing(*nodes), longest_s):
            raise GraphError(self.absent(self.missing(*nodes), longest_s))

    def spin(self, seconds: float) -> None:
        """Process messages for a while [s]."""
        self.spin_until(lambda: False, seconds)

    def spin_until(self, done: Callable[[], bool], timeout_s: float) -> bool:
        """Process messages until `done` or for `timeout_s` [s]; return whether it is done."""
        return waiting.spin_until(self._executor, done, timeout_s)

    def wait_for_response(self, future: Future[Any], node: str) -> Any:
        """Return the result of `future`, a request to `node`.

        Raises:
            GraphError: the node does not respond within `timeout_s`.
        """
        if not self.spin_until(future.done, self.timeout_s):
            raise GraphError(no_response(node, self.timeout_s))
        return future.result()

    def request(self, client: Client[Any, Any], request: object, node: str, what: str, retry_s: float = 0.0) -> Any:
        """Call a service until it succeeds or `retry_s` is over, and return the response.

        Raises:
            GraphError: the node is missing, does not respond, or refuses to do `what`.
        """
        self.wait_for(node)
        end = time.monotonic() + retry_s
        while not (response := self._call(client, request, node)).success:
            if time.monotonic() >= end:
                raise GraphError(f'{node} does not {what}: {response.reason or "it gives no reason"}')
            self.spin(RETRY_S)
        return response

    def _call(self, client: Client[Any, Any], request: object, node: str) -> Any:
        resend_s = min(RESEND_S, self.timeout_s)
        call = ServiceCall(client, request, resend_s)
        if not self.spin_until(call.poll, resend_s + self.timeout_s):
            raise GraphError(no_response(node, self.timeout_s))
        return call.response

    def absent(self, nodes: Sequence[str], timeout_s: float) -> str:
        """Return the error text for nodes that are missing."""
        namespace, domain = self.node.get_namespace(), self._context.get_domain_id()
        launch = 'sim' if 'sim_node' in nodes else 'aura'
        return (
            f'{", ".join(nodes)} not found within {timeout_s:g} s '
            f"(namespace '{namespace}', ROS_DOMAIN_ID {domain}). "
            f'Start the graph, for example with `aura launch {launch}.launch.yaml`'
        )
