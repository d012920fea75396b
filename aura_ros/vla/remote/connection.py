# SPDX-License-Identifier: Apache-2.0
"""One websocket connection to a policy server, with a time limit on every wait.

openpi's protocol has no numbers on its messages: the next answer belongs to the last request. So a connection on which
an answer is late, broken or an error is closed. An answer that arrives after its time limit can then never be taken for
the answer to a later request.
"""

import socket
import struct
import time
from typing import Any

from aura_ros.common.errors import AuraError, InputError
from aura_ros.common.limits import REMOTE_BYTES
from aura_ros.common.text import printable
from aura_ros.vla.remote.wire import pack, unpack

_POLL_S = 0.2
_CLOSE_S = 1.0


class RemoteError(AuraError):
    """The policy server cannot be reached, is too slow, or answers with an error or with data that is not valid."""


class Connection:
    """A connection to one server process; `metadata` is what the server sent first."""

    def __init__(self, url: str, timeout_s: float) -> None:
        """Connect and receive the metadata.

        Args:
            url: ws://HOST:PORT or wss://HOST:PORT.
            timeout_s: longest wait for the handshake, and then for the metadata [s].

        Raises:
            RemoteError: there is no such server, or it speaks another protocol.
        """
        from websockets.exceptions import WebSocketException
        from websockets.sync.client import connect

        self.url = url
        try:
            # No compression: images are noise to it. No proxy: the robot's server is named by its own address. No
            # pings: a server that computes in its event loop cannot answer them, and `request` limits the wait anyway.
            opened = connect(
                url,
                compression=None,
                proxy=None,
                max_size=REMOTE_BYTES,
                open_timeout=timeout_s,
                close_timeout=_CLOSE_S,
                ping_interval=None,
            )
            # websockets 17 warns about a connection that no `with` statement opens. This object closes it.
            self._socket = opened.__enter__()
        except (OSError, WebSocketException, ValueError) as error:
            raise RemoteError(f'{url}: cannot connect: {_reason(error)}') from error
        self.metadata: dict[Any, Any] = self._receive(timeout_s, timeout_s)

    def request(self, message: dict[str, Any], timeout_s: float) -> dict[Any, Any]:
        """Send a message and return the answer.

        Args:
            message: see `wire.pack`.
            timeout_s: longest wait for the answer [s].

        Raises:
            InputError: the message cannot be packed; the connection stays open.
            RemoteError: no answer in time, or an error; the connection is closed.
        """
        from websockets.exceptions import WebSocketException

        data = pack(message)
        deadline = time.monotonic() + timeout_s
        try:
            self._limit_send(timeout_s)
            self._socket.send(data)
        except (OSError, WebSocketException) as error:
            self.close()
            raise RemoteError(f'{self.url}: cannot send within {timeout_s:g} s: {_reason(error)}') from error
        return self._receive(max(0.0, deadline - time.monotonic()), timeout_s)

    def _limit_send(self, timeout_s: float) -> None:
        """Limit the wait for a server that does not read; websockets itself waits without limit."""
        seconds, fraction = divmod(timeout_s, 1.0)
        limit = struct.pack('ll', int(seconds), int(fraction * 1e6))
        self._socket.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)

    def close(self) -> None:
        """Close the connection; a second call does nothing."""
        self._socket.close()

    def _receive(self, wait_s: float, timeout_s: float) -> dict[Any, Any]:
        from websockets.exceptions import WebSocketException

        try:
            data = self._socket.recv(timeout=wait_s)
        except TimeoutError as error:
            self.close()
            raise RemoteError(f'{self.url}: no answer within {timeout_s:g} s') from error
        except (OSError, WebSocketException) as error:
            self.close()
            raise RemoteError(f'{self.url}: the connection ended: {_reason(error)}') from error
        if isinstance(data, str):
            self.close()
            raise RemoteError(f'{self.url}: the server reports: {_last_line(data)}')
        try:
            answer = unpack(data)
        except InputError as error:
            self.close()
            raise RemoteError(f'{self.url}: {error}') from error
        if not isinstance(answer, dict):
            self.close()
            raise RemoteError(f'{self.url}: the server sent {type(answer).__name__}: must be a map')
        return answer


def wait_for_server(url: str, wait_s: float, timeout_s: float) -> Connection:
    """Connect; repeat it until the server is there, because a model can take minutes to load.

    Args:
        url: ws://HOST:PORT or wss://HOST:PORT.
        wait_s: how long to repeat [s].
        timeout_s: longest wait of one attempt [s].

    Raises:
        RemoteError: no server within `wait_s`.
    """
    deadline = time.monotonic() + wait_s
    while True:
        try:
            return Connection(url, timeout_s)
        except RemoteError as error:
            if time.monotonic() + _POLL_S > deadline:
                raise RemoteError(f'{error}; is the server running? Start one with `aura serve --help`') from error
        time.sleep(_POLL_S)


def _reason(error: BaseException) -> str:
    return printable(' '.join(str(error).split()) or type(error).__name__, 200)


def _last_line(text: str) -> str:
    """Return the line of a traceback that names the error."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return printable(lines[-1], 300) if lines else 'an error without text'
