# SPDX-License-Identifier: Apache-2.0
"""A service call that never blocks, for callers that spin the node themselves."""

from __future__ import annotations

import time
from typing import Generic, TypeVar

from rclpy.client import Client
from rclpy.task import Future

RESEND_S = 8.0
"""Time after which a call without a response is sent again [s, steady clock]."""

Request = TypeVar('Request')
Response = TypeVar('Response')


def no_response(node: str, timeout_s: float) -> str:
    """Return the error text for a node that does not respond."""
    return f'{node} does not respond within {timeout_s:g} s; see its log'


class ServiceCall(Generic[Request, Response]):
    """One call of a service. The caller spins the node of the client and polls."""

    def __init__(self, client: Client[Request, Response], request: Request, resend_s: float = RESEND_S) -> None:
        """Prepare the call; the first `poll` that finds the service sends it."""
        self._client, self._request, self._resend_s = client, request, resend_s
        self.response: Response | None = None
        self._future: Future[Response] | None = None
        self._resent = False
        self._sent_s = 0.0

    @property
    def sent(self) -> bool:
        """Whether the call has been sent."""
        return self._future is not None

    def poll(self) -> bool:
        """Send the call when the service is available; return whether `response` has arrived.

        A call without a response is sent once more, because DDS can lose responses while nodes discover each other.
        """
        if self._future is None:
            if self._client.service_is_ready():
                self._send()
        elif self._future.done():
            self.response = self._future.result()
        elif not self._resent and time.monotonic() - self._sent_s > self._resend_s:
            self._resent = True
            self._client.remove_pending_request(self._future)
            self._send()
        return self.response is not None

    def _send(self) -> None:
        self._sent_s = time.monotonic()
        self._future = self._client.call_async(self._request)
