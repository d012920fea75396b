# SPDX-License-Identifier: Apache-2.0
"""The backbone `remote`: a policy server that speaks openpi's websocket protocol."""

import contextlib
import hashlib
import json
from dataclasses import replace
from typing import Any

from aura_ros.common.errors import ConfigError, InputError
from aura_ros.vla.protocol import BackboneSpec, Observation, VlaOutput
from aura_ros.vla.remote.connection import Connection, RemoteError, wait_for_server
from aura_ros.vla.remote.contract import Contract
from aura_ros.vla.remote.messages import answer_to_output, observation_to_message
from aura_ros.vla.remote.options import RemoteOptions, read_options


class RemoteBackbone:
    """A frozen backbone in another process; implements `Backbone`. One thread infers, any thread may close.

    A connection is a session. When it ends, the next `infer` connects again. It uses the new session only if the server
    sends the same contract as at the start, and it never returns an answer of an earlier session.
    """

    def __init__(self, options: RemoteOptions, contract: Contract | None = None) -> None:
        """Connect, and check what the server promises.

        Args:
            options: address and time limits.
            contract: what is known of a server that sends no contract.

        Raises:
            ConfigError: there is no server, or its contract is missing or unusable, or differs from `contract`.
        """
        self._options, self._given = options, contract
        try:
            self._connection: Connection | None = wait_for_server(
                options.url, options.connect_wait_s, options.connect_timeout_s
            )
        except RemoteError as error:
            raise ConfigError(str(error)) from error
        self._answered = False
        try:
            self._metadata = self._connection.metadata
            self._contract = _agreed(options.url, self._metadata, contract)
        except BaseException:
            self.close()
            raise
        self.spec: BackboneSpec = self._contract.spec

    def infer(self, observation: Observation) -> VlaOutput:
        """Send the observation and return the answer; see `Backbone.infer`.

        Raises:
            InputError: an input is missing, has the wrong shape or is not finite; nothing was sent.
            RemoteError: the server is away, too slow, another one, or its answer is not valid.
        """
        message = observation_to_message(observation, self._contract)
        connection = self._connected()
        limit_s = self._options.timeout_s if self._answered else self._options.first_timeout_s
        try:
            answer = connection.request(message, limit_s)
        except RemoteError:
            self._drop(connection)
            raise
        self._answered = True
        try:
            return answer_to_output(answer, self._contract)
        except InputError as error:
            raise RemoteError(f'{self._options.url}: the answer was refused: {error}') from error

    def close(self) -> None:
        """End the connection. An `infer` that waits fails at once, and a later one connects again."""
        if (connection := self._connection) is not None:
            self._drop(connection)

    def _drop(self, connection: Connection) -> None:
        self._connection, self._answered = None, False
        with contextlib.suppress(OSError):
            connection.close()

    def _connected(self) -> Connection:
        """Return the session, or a new one with the same contract."""
        if self._connection is not None:
            return self._connection
        connection = Connection(self._options.url, self._options.connect_timeout_s)
        try:
            contract = _agreed(self._options.url, connection.metadata, self._given)
            if contract != self._contract:
                raise ConfigError(
                    f'{self._options.url}: the server has another backbone since it was restarted '
                    f'({self._contract.backbone_hash[:12]} before, {contract.backbone_hash[:12]} after); '
                    'configure vla_node again to use it'
                )
        except ConfigError as error:
            connection.close()
            raise RemoteError(str(error)) from error
        self._connection, self._answered = connection, False
        return connection


def load_remote(path: str | None) -> RemoteBackbone:
    """Return the backbone at an address, or of a YAML file; the factory of `backbone: remote`.

    Raises:
        ConfigError: the path is missing or unusable, or there is no such server.
    """
    if not path:
        raise ConfigError(
            "backbone_path = '': must be the address of a policy server, such as ws://127.0.0.1:8000, or a YAML file"
        )
    return RemoteBackbone(*read_options(path))


def _agreed(url: str, metadata: dict[Any, Any], given: Contract | None) -> Contract:
    """Return the contract that server and file agree on.

    Raises:
        ConfigError: there is none, it is unusable, or the two differ.
    """
    try:
        sent = Contract.from_metadata(metadata)
    except ConfigError as error:
        raise ConfigError(f'{url}: the metadata of the server are unusable: {error}') from error
    if sent is None:
        return _assumed(url, metadata, given)
    if given is not None:
        _check_same(url, sent, given)
    if not sent.backbone_hash:
        raise ConfigError(f'{url}: the server sends no backbone_hash, so a memory cannot be matched to it; add it')
    if sent.features is not None and sent.features.dim < 1:
        raise ConfigError(f'{url}: features.dim = {sent.features.dim}: must be the length of the feature vector, >= 1')
    if sent.features is not None and not sent.deterministic:
        raise ConfigError(
            f'{url}: the server says deterministic: false, so the same observation gives other features, and a replay '
            'differs; fix the noise of its policy, or leave the features out and use the policy base'
        )
    return sent


def _assumed(url: str, metadata: dict[Any, Any], given: Contract | None) -> Contract:
    """Return the contract of a plain openpi server, which sends none and no features."""
    if given is None:
        raise ConfigError(
            f'{url}: the server does not describe its actions and features; wrap its policy with FeaturePolicy, or '
            'describe its actions in a YAML file such as config/vla/droid_openpi.yaml, for the policy base alone'
        )
    if given.features is not None:
        raise ConfigError(f'{url}: it sends no features; wrap its policy with FeaturePolicy, or remove features')
    if given.backbone_hash:
        return given
    # The weights are unknown. The hash then stands for what is known.
    known = json.dumps([given.sha256, metadata], sort_keys=True, default=repr)
    return replace(given, backbone_hash=hashlib.sha256(known.encode()).hexdigest())


def _check_same(url: str, sent: Contract, given: Contract) -> None:
    if difference := sent.actions.diff(given.actions, 'The server', 'The file'):
        raise ConfigError(f'{url}: {difference}')
    for name in ('cameras', 'joint_names', 'parts'):
        if getattr(sent, name) != getattr(given, name):
            raise ConfigError(
                f'{url}: {name} differ. The server: {getattr(sent, name)}. The file: {getattr(given, name)}; '
                'correct the file, or remove the contract from it'
            )
