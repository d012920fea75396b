# SPDX-License-Identifier: Apache-2.0
"""Requests to `select_policy` that never block: one thread adds them, another sends them and collects the answers."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from typing import TypeAlias

from rclpy.client import Client
from rclpy.node import Node

from aura_ros.ros.calls import ServiceCall, no_response
from aura_ros.rqt.points import policy_name
from aura_ros.rqt.source import OnAnswer
from aura_ros.srv import SelectPolicy

# policy_switch_node answers within select_timeout_s, 5 s by default; one response may be lost [s].
_ANSWER_TIMEOUT_S = 15.0
_DISCOVERY_TIMEOUT_S = 2.0


_Client: TypeAlias = 'Client[SelectPolicy.Request, SelectPolicy.Response]'


@dataclass
class _Request:
    """One request under way."""

    client: _Client
    call: ServiceCall[SelectPolicy.Request, SelectPolicy.Response]
    done: OnAnswer
    began_s: float = field(default_factory=time.monotonic)
    """When the service was first looked for [s, steady clock]."""

    def poll(self) -> tuple[bool, str] | None:
        """Return the answer, None while there is none."""
        waited_s = time.monotonic() - self.began_s
        self.call.poll()
        response = self.call.response
        if response is not None:
            text = response.reason or f'{policy_name(response.new_policy)} drives from step {response.effective_seq}'
            return response.success, text
        if not self.call.sent and waited_s > _DISCOVERY_TIMEOUT_S:
            return False, f'service {self.client.srv_name} is not available: is policy_switch_node active?'
        if waited_s > _ANSWER_TIMEOUT_S:
            return False, no_response('policy_switch_node', _ANSWER_TIMEOUT_S)
        return None


class PolicyRequests:
    """Requests to policy switches. `add`, `refuse` and `deliver` belong to the GUI thread, the rest to the owner."""

    def __init__(self, node: Node) -> None:
        """Send requests from `node`."""
        self._node = node
        self._added: deque[tuple[str, int, OnAnswer]] = deque()
        self._sent: list[_Request] = []
        self._answers: deque[tuple[OnAnswer, bool, str]] = deque()

    def add(self, service: str, policy: int, done: OnAnswer) -> None:
        """Request `policy` from `service` at the next `poll`."""
        self._added.append((service, policy, done))

    def refuse(self, reason: str, done: OnAnswer) -> None:
        """Answer a request that is not sent."""
        self._answers.append((done, False, reason))

    def deliver(self) -> None:
        """Call `done` of every request that has its answer."""
        while self._answers:
            done, success, text = self._answers.popleft()
            done(success, text)

    @property
    def pending(self) -> bool:
        """Whether a request waits for its answer."""
        return bool(self._added or self._sent)

    def poll(self) -> None:
        """Send new requests and collect the answers of the others."""
        while self._added:
            service, policy, done = self._added.popleft()
            client: _Client = self._node.create_client(SelectPolicy, service)
            self._sent.append(_Request(client, ServiceCall(client, SelectPolicy.Request(policy=policy)), done))
        for request in list(self._sent):
            answer = request.poll()
            if answer is not None:
                self._finish(request, *answer)

    def _finish(self, request: _Request, success: bool, text: str) -> None:
        self._sent.remove(request)
        self._node.destroy_client(request.client)
        self._answers.append((request.done, success, text))

    def close(self) -> None:
        """Give up the requests under way."""
        while self._added:
            self._answers.append((self._added.popleft()[2], False, 'the monitor was closed'))
        for request in list(self._sent):
            self._finish(request, False, 'the monitor was closed')
