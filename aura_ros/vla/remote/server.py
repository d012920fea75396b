# SPDX-License-Identifier: Apache-2.0
"""A policy server for any backbone, in openpi's websocket protocol, with features and contract.

Each client has a thread, and one request is computed at a time. The first message is the contract. Then each request is
an observation, and each answer is a map with `actions`, `features` and `server_timing`, or text with an error.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from aura_ros.common.errors import AuraError, ConfigError, InputError
from aura_ros.common.limits import REMOTE_BYTES
from aura_ros.common.spec_fields import check_count
from aura_ros.common.text_files import reason
from aura_ros.vla.protocol import Backbone
from aura_ros.vla.remote.contract import Contract
from aura_ros.vla.remote.messages import message_to_observation, output_to_answer
from aura_ros.vla.remote.wire import pack, unpack

_log = logging.getLogger(__name__)
HEALTH = '/healthz'
"""Path that answers `OK` over HTTP."""


@dataclass(frozen=True)
class ServerOptions:
    """Where and how to serve; checked on construction.

    Raises:
        ConfigError: a value is out of its range.
    """

    host: str = '127.0.0.1'
    """Address to listen on. The protocol has no login, so any other address is open to the network."""
    port: int = 8000
    """TCP port; 0 takes a free one."""
    message_bytes: int = REMOTE_BYTES
    """Largest request [B]; a larger one ends its connection."""
    clients: int = 4
    """Most connections at a time [1]."""

    def __post_init__(self) -> None:
        check_count('port', self.port, 0, 65535)
        check_count('message_bytes', self.message_bytes, 1024, REMOTE_BYTES)
        check_count('clients', self.clients, 1, 64)


class PolicyServer:
    """Serves one backbone until `shutdown`. It listens as soon as it exists."""

    def __init__(self, backbone: Backbone, contract: Contract, options: ServerOptions | None = None) -> None:
        """Listen.

        Args:
            backbone: computes the answers; one call at a time.
            contract: what the backbone promises.
            options: where to listen.

        Raises:
            ConfigError: the address cannot be used.
        """
        from websockets.sync.server import serve

        self._backbone, self._contract = backbone, contract
        self._options = options or ServerOptions()
        self._computing = threading.Lock()
        self._free = threading.BoundedSemaphore(self._options.clients)
        self._metadata = pack(contract.to_metadata())
        try:
            self._server = serve(
                self._handle,
                self._options.host,
                self._options.port,
                compression=None,
                max_size=self._options.message_bytes,
                max_queue=1,
                process_request=self._health,
                server_header=None,
                logger=_log,
            )
        except OSError as error:
            raise ConfigError(f'cannot listen on {self._options.host}:{self._options.port}: {reason(error)}') from error

    @property
    def port(self) -> int:
        """TCP port on which it listens."""
        port: int = self._server.socket.getsockname()[1]
        return port

    def serve_forever(self) -> None:
        """Serve until `shutdown` is called from another thread."""
        self._server.serve_forever()

    def shutdown(self) -> None:
        """Stop listening and close all connections."""
        self._server.shutdown()

    def _health(self, connection: Any, request: Any) -> Any:
        """Answer a request for HEALTH; None lets the handshake of a websocket continue."""
        return connection.respond(HTTPStatus.OK, 'OK\n') if request.path == HEALTH else None

    def _handle(self, socket: Any) -> None:
        from websockets.exceptions import ConnectionClosed

        if not self._free.acquire(blocking=False):
            socket.close(1013, f'{self._options.clients} clients are connected already')
            return
        try:
            socket.send(self._metadata)
            for request in socket:
                socket.send(self._answer(request))
        except ConnectionClosed as closed:
            _log.info('a connection ended: %s', closed)
        finally:
            self._free.release()

    def _answer(self, request: object) -> bytes | str:
        """Return the answer to a request, or one line of text with the error."""
        try:
            if not isinstance(request, bytes):
                raise InputError('the request is text: must be msgpack')
            message = unpack(request)
            if not isinstance(message, dict):
                raise InputError(f'the request is {type(message).__name__}: must be a map')
            observation = message_to_observation(message, self._contract)
            return self._computed(lambda: self._backbone.infer(observation))
        except InputError as error:
            return f'request refused: {error}'
        except AuraError as error:
            return f'the backbone failed: {error}'
        # A foreign model may raise anything. The client gets one line, and the log the whole.
        except Exception as error:  # noqa: BLE001
            _log.exception('the backbone failed')
            return f'the backbone failed: {reason(error)}'

    def _computed(self, infer: Callable[[], Any]) -> bytes:
        with self._computing:
            began = time.perf_counter()
            output = infer()
            duration_s = time.perf_counter() - began
        try:
            answer = output_to_answer(output, self._contract)
        except InputError as error:
            raise AuraError(str(error)) from error
        return pack(answer | {'server_timing': {'infer_ms': duration_s * 1e3}})
