# SPDX-License-Identifier: Apache-2.0
"""A small backbone, and policy servers for it: ours, and ones that break the protocol on purpose."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np

from aura_ros.common.action_spec import ActionComponent, ActionSpec
from aura_ros.common.state_spec import StatePart, StateSpec
from aura_ros.vla.protocol import BackboneSpec, Observation, VlaOutput
from aura_ros.vla.remote import Contract, Features, PolicyServer, RemoteBackbone, ServerOptions
from aura_ros.vla.remote.options import RemoteOptions
from aura_ros.vla.remote.wire import pack

ACTIONS = ActionSpec(
    (
        ActionComponent('position', 3, 'ee_position', 'delta', unit='m'),
        ActionComponent('rotation', 3, 'ee_rotation', 'delta', rotation='axis_angle', unit='rad'),
        ActionComponent('gripper', 1, 'gripper', 'absolute', range=(-1.0, 1.0), binary=True, closes='high'),
    ),
    chunk_size=4,
    n_action_steps=2,
    seconds_per_action=0.05,
)
STATE = StateSpec(
    (
        StatePart('position', 3, 'ee_position', unit='m'),
        StatePart('rotation', 3, 'ee_rotation', rotation='axis_angle', unit='rad'),
        StatePart('gripper', 2, 'gripper'),
    )
)
SPEC = BackboneSpec(
    name='small',
    cameras=('front', 'wrist'),
    image_size=(32, 32),
    joint_names=('x', 'y', 'z', 'rx', 'ry', 'rz', 'left_finger', 'right_finger'),
    feature_dim=5,
    chunk_size=4,
    action_dim=7,
    n_action_steps=2,
    seconds_per_action=0.05,
    backbone_hash='ab' * 32,
    components=ACTIONS.components,
    state=STATE,
)
CONTRACT = Contract.of(SPEC, Features('model.head input', 'mean'))


class SmallVla:
    """Features and actions that depend on every input."""

    def __init__(self, spec: BackboneSpec = SPEC) -> None:
        self.spec = spec
        self.seen: list[Observation] = []

    def infer(self, observation: Observation) -> VlaOutput:
        """Return a sum of each input, and a chunk of them."""
        self.seen.append(observation)
        sums = [observation.images[camera].sum(dtype=np.float64) / 1e6 for camera in self.spec.cameras]
        sums += [np.sum(observation.joint_positions), sum(part.sum() for part in observation.state.values())]
        features = np.array([*sums, len(observation.instruction)], np.float32)
        chunk = np.arange(28, dtype=np.float32).reshape(4, 7) * features.sum()
        return VlaOutput(features, chunk)


def observation(seed: int = 0, instruction: str = 'pick up the cup') -> Observation:
    """Return an observation that fits CONTRACT."""
    rng = np.random.default_rng(seed)
    measured = rng.normal(size=8).astype(np.float32)
    state = {'position': measured[:3], 'rotation': measured[3:6], 'gripper': measured[6:]}
    images = {name: rng.integers(0, 255, (24, 32, 3), dtype=np.uint8) for name in ('front', 'wrist')}
    return Observation(images, measured, instruction, state)


@contextmanager
def served(vla: Any, contract: Contract = CONTRACT, **options: Any) -> Iterator[PolicyServer]:
    """Serve a backbone on a free port in a thread."""
    server = PolicyServer(vla, contract, ServerOptions(**{'port': 0} | options))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()


@contextmanager
def scripted(answer: Callable[[bytes], bytes | str], metadata: dict[str, Any] | None = None) -> Iterator[str]:
    """Serve whatever `answer` returns for each request; yields the address."""
    from websockets.exceptions import ConnectionClosed
    from websockets.sync.server import serve

    first = pack(CONTRACT.to_metadata() if metadata is None else metadata)

    def handle(socket: Any) -> None:
        try:
            socket.send(first)
            for request in socket:
                socket.send(answer(request))
        except ConnectionClosed:
            return

    with serve(handle, '127.0.0.1', 0, max_size=None, compression=None) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f'ws://127.0.0.1:{server.socket.getsockname()[1]}'
        finally:
            server.shutdown()
            thread.join()


def quick(url: str, **limits: float) -> RemoteOptions:
    """Return options with short waits."""
    usual = {'connect_wait_s': 5.0, 'connect_timeout_s': 2.0, 'first_timeout_s': 10.0, 'timeout_s': 10.0}
    return RemoteOptions(url, **usual | limits)


@contextmanager
def connected(url: str, contract: Contract | None = None, **limits: float) -> Iterator[RemoteBackbone]:
    """Return our client of a server."""
    backbone = RemoteBackbone(quick(url, **limits), contract)
    try:
        yield backbone
    finally:
        backbone.close()


def good_answer(**changes: Any) -> dict[str, Any]:
    """Return an answer that fits CONTRACT, with changes."""
    return {'actions': np.zeros((4, 7)), 'features': np.ones(5, np.float32)} | changes


PLAIN = replace(CONTRACT, features=None, deterministic=False, backbone_hash='', keys={})
"""What a file says of a server that sends neither contract nor features."""
