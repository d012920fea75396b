# SPDX-License-Identifier: Apache-2.0
"""One call of a service, and one goal of an action."""

from __future__ import annotations

import argparse
import math
import signal
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from action_msgs.msg import GoalStatus
from rclpy.action.client import ActionClient
from rclpy.client import Client
from rclpy.task import Future

from aura_ros.ros.graph import DISCOVERY_S, TopicError, TopicGraph, message_class
from aura_ros.tools.topics.input import filled
from aura_ros.tools.topics.text import as_text

_TURN_S = 0.1
_FEEDBACK_S = 1.0
_OUTCOMES = {
    GoalStatus.STATUS_SUCCEEDED: 'succeeded',
    GoalStatus.STATUS_CANCELED: 'cancelled',
    GoalStatus.STATUS_ABORTED: 'aborted',
}


def call(graph: TopicGraph, options: argparse.Namespace) -> int:
    """Call `service` with `fields` and print the response; return 1 if it has `success: false`."""
    name, type_name = graph.resolve(options.service, 'service')
    kind = message_class(type_name)
    request = filled(kind.Request, options.fields)
    client: Client[Any, Any] = graph.node.create_client(kind, name)
    _await_server(graph, f'service {name}', client.service_is_ready)
    future = client.call_async(request)
    response = _await(graph, f'the response of {name}', future, client.service_is_ready)
    print(_text(response, options.full), flush=True)
    return _exit_code(response)


def goal(graph: TopicGraph, options: argparse.Namespace) -> int:
    """Send `action` a goal of `fields`, print feedback and result, and return 0 if the goal succeeded.

    The first Ctrl-C cancels the goal and waits for its end; the second one exits at once.
    """
    name, type_name = graph.resolve(options.action, 'action')
    kind = message_class(type_name)
    request = filled(kind.Goal, options.fields)
    client: ActionClient[Any, Any, Any] = ActionClient(graph.node, kind, name)
    try:
        _await_server(graph, f'action {name}', client.server_is_ready)
        with _interrupts() as interrupted:
            return _Goal(graph, client, name, options.full).run(request, interrupted)
    finally:
        client.destroy()


class _Goal:
    """One goal from the request to its result."""

    def __init__(self, graph: TopicGraph, client: ActionClient[Any, Any, Any], name: str, full: bool) -> None:
        self._graph, self._client, self._name, self._full = graph, client, name, full
        self._feedback: Any = None
        self._feedback_at = -math.inf

    def run(self, request: Any, interrupted: Callable[[], bool]) -> int:
        sent = self._client.send_goal_async(request, feedback_callback=self._on_feedback)
        handle = _await(self._graph, f'the response of {self._name}', sent, self._client.server_is_ready)
        if not handle.accepted:
            raise TopicError(
                f'{self._name} rejected the goal; see the log of its node, and /diagnostics for a node of aura_ros'
            )
        print('accepted; Ctrl-C cancels', file=sys.stderr)
        ended: Future[Any] = handle.get_result_async()
        cancelling: Any = None
        while not self._graph.spin(_TURN_S, ended.done):
            self._show_feedback()
            _check_alive(self._name, self._client.server_is_ready)
            if cancelling is None and interrupted():
                print('cancelling; another Ctrl-C exits without waiting', file=sys.stderr)
                cancelling = handle.cancel_goal_async()
                cancelling.add_done_callback(self._on_cancel_response)
        response: Any = ended.result()
        outcome, result = response.status, response.result
        self._show(f'result ({_OUTCOMES.get(outcome, "unknown outcome")})', result)
        return _exit_code(result) if outcome == GoalStatus.STATUS_SUCCEEDED else 1

    def _on_feedback(self, message: Any) -> None:
        self._feedback = message.feedback

    def _show_feedback(self) -> None:
        if self._feedback is None or time.monotonic() < self._feedback_at + _FEEDBACK_S:
            return
        self._show('feedback', self._feedback)
        self._feedback, self._feedback_at = None, time.monotonic()

    def _on_cancel_response(self, response: Any) -> None:
        if not response.result().goals_canceling:
            print(f'{self._name} rejected the cancellation; still waiting for its end', file=sys.stderr)

    def _show(self, title: str, message: Any) -> None:
        print(f'{title}:', textwrap.indent(_text(message, self._full), '  '), sep='\n', flush=True)


@contextmanager
def _interrupts() -> Iterator[Callable[[], bool]]:
    """Record the first SIGINT or SIGTERM, so that a request in progress can finish; the second raises."""
    count = 0

    def note(_signal: int, _frame: Any) -> None:
        nonlocal count
        count += 1
        if count > 1:
            raise KeyboardInterrupt

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: count > 0
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _await_server(graph: TopicGraph, what: str, ready: Callable[[], bool]) -> None:
    if not graph.spin(DISCOVERY_S, ready):
        raise TopicError(
            f'{what} exists on {graph.where}, but has no server after {DISCOVERY_S:.0f} s; start or activate its node'
        )


def _await(graph: TopicGraph, what: str, future: Future[Any], ready: Callable[[], bool]) -> Any:
    """Return the result of `future`; wait while the server exists, and print a notice after a while."""
    notice_at = time.monotonic() + DISCOVERY_S
    while not graph.spin(_TURN_S, future.done):
        _check_alive(what, ready)
        if time.monotonic() > notice_at:
            notice_at = math.inf
            print(f'waiting for {what}; Ctrl-C stops', file=sys.stderr)
    return future.result()


def _check_alive(what: str, ready: Callable[[], bool]) -> None:
    if not ready():
        raise TopicError(f'{what}: the server has gone; the outcome is unknown')


def _text(message: Any, full: bool) -> str:
    return as_text(message, whole=full) or '(no fields)'


def _exit_code(response: Any) -> int:
    """Return 1 for a response with `success: false`, else 0."""
    return 1 if getattr(response, 'success', True) is False else 0
