# SPDX-License-Identifier: Apache-2.0
"""Asking for another policy without waiting: the GUI looks at the answer whenever it likes."""

import time
from collections import deque
from typing import Any

from rclpy.node import Node

from aura_ros.rqt.points import policy_name
from aura_ros.srv import SelectPolicy

# The switch gives up after select_timeout_s, 5 s by default; this is for one that is gone [s].
_PATIENCE_S = 15.0
_DISCOVERY_S = 2.0


class Answer:
    """What came of a request.

    Attributes:
        success: whether it was done.
        text: why not, or what was done.
        done: whether there is an answer; the others are set before it.
    """

    def __init__(self) -> None:
        """Wait for the answer."""
        self.success, self.text, self.done = False, '', False

    @classmethod
    def refused(cls, text: str) -> 'Answer':
        """Return the answer to what is not even asked."""
        answer = cls()
        answer.give(False, text)
        return answer

    def give(self, success: bool, text: str) -> None:
        """Answer, once."""
        if not self.done:
            self.success, self.text = success, text
            self.done = True


class _Request:
    """One request under way."""

    def __init__(self, client: Any, policy: int, answer: Answer) -> None:
        self.client, self.policy, self.answer = client, policy, answer
        self.began_s = time.monotonic()
        self.future: Any = None

    def turn(self) -> None:
        """Send it when the service is there, and give up in time."""
        waited_s = time.monotonic() - self.began_s
        if self.future is None and self.client.service_is_ready():
            self.future = self.client.call_async(SelectPolicy.Request(policy=self.policy))
        if self.future is not None and self.future.done():
            found = self.future.result()
            text = found.reason or f'{policy_name(found.new_policy)} drives from step {found.effective_seq}'
            self.answer.give(found.success, text)
        elif self.future is None and waited_s > _DISCOVERY_S:
            self.answer.give(False, f'nobody offers {self.client.srv_name}: is policy_switch_node active?')
        elif waited_s > _PATIENCE_S:
            self.answer.give(False, f'no answer within {_PATIENCE_S:g} s')


class PolicyRequests:
    """Requests to policy switches, in the thread that owns the node; `ask` may be called from any."""

    def __init__(self, node: Node) -> None:
        """Ask from `node`."""
        self._node = node
        self._asked: deque[tuple[str, int, Answer]] = deque()
        self._requests: list[_Request] = []

    def ask(self, service: str, policy: int) -> Answer:
        """Ask for `policy` at the next turn."""
        answer = Answer()
        self._asked.append((service, policy, answer))
        return answer

    @property
    def pending(self) -> bool:
        """Whether an answer is awaited."""
        return bool(self._asked or self._requests)

    def turn(self) -> None:
        """Send what was asked, look for answers, and forget what was answered."""
        while self._asked:
            service, policy, answer = self._asked.popleft()
            client = self._node.create_client(SelectPolicy, service)
            self._requests.append(_Request(client, policy, answer))
        for request in list(self._requests):
            request.turn()
            if request.answer.done:
                self._requests.remove(request)
                self._node.destroy_client(request.client)

    def close(self) -> None:
        """Give up what is under way."""
        while self._asked:
            self._asked.popleft()[2].give(False, 'the monitor was closed')
        for request in self._requests:
            request.answer.give(False, 'the monitor was closed')
            self._node.destroy_client(request.client)
        self._requests.clear()
