# SPDX-License-Identifier: Apache-2.0
"""Our client, our server and openpi's, through real sockets: good answers, and every way to break the protocol."""

import os
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import numpy as np
import pytest

pytest.importorskip('msgpack')
pytest.importorskip('websockets')
from remote_rig import (
    ACTIONS,
    CONTRACT,
    PLAIN,
    SPEC,
    SmallVla,
    connected,
    good_answer,
    observation,
    quick,
    scripted,
    served,
)

from aura_ros.common.errors import ConfigError, InputError
from aura_ros.vla import load_backbone
from aura_ros.vla.protocol import Observation, VlaOutput
from aura_ros.vla.remote import FeaturePolicy, RemoteBackbone, RemoteError
from aura_ros.vla.remote.wire import pack, unpack


def url_of(server: Any) -> str:
    return f'ws://127.0.0.1:{server.port}'


def same(one: VlaOutput, other: VlaOutput) -> bool:
    return one.actions.tobytes() == other.actions.tobytes() and one.features.tobytes() == other.features.tobytes()


# --- our server and our client ---


def test_answer_is_that_of_the_backbone_bit_for_bit() -> None:
    vla = SmallVla()
    with served(vla) as server, connected(url_of(server)) as remote:
        assert remote.spec == SPEC
        for seed in range(3):
            assert same(remote.infer(observation(seed)), SmallVla().infer(observation(seed)))
    arrived, sent = vla.seen[0], observation(0)
    assert arrived.instruction == sent.instruction
    assert arrived.joint_positions.tobytes() == sent.joint_positions.tobytes()
    assert {name: part.tobytes() for name, part in arrived.state.items()} == {
        name: part.tobytes() for name, part in sent.state.items()
    }
    assert all(np.array_equal(arrived.images[name], sent.images[name]) for name in sent.images)


def test_embedded_backbone_answers_as_it_does_in_this_process() -> None:
    pytest.importorskip('onnxruntime')
    from aura_ros.vla.remote import Contract, Features

    vla = load_backbone('embedded')
    contract = Contract.of(vla.spec, Features('features'))
    image = np.random.default_rng(0).integers(0, 255, (128, 128, 3), dtype=np.uint8)
    seen = Observation({'front': image, 'wrist': image}, np.zeros(8, np.float32), 'touch the red block')
    with served(vla, contract) as server, connected(url_of(server)) as remote:
        assert same(remote.infer(seen), vla.infer(seen))
        assert remote.spec.backbone_hash == vla.spec.backbone_hash
        assert remote.spec.action_spec.is_absolute_joints


def test_one_array_for_the_whole_state() -> None:
    vla, contract = SmallVla(), replace(CONTRACT, keys={'state': 'observation/state', 'front': 'observation/image'})
    with served(vla, contract) as server, connected(url_of(server)) as remote:
        assert same(remote.infer(observation()), SmallVla().infer(observation()))


def test_several_clients_get_their_own_answers() -> None:
    with served(SmallVla()) as server, connected(url_of(server)) as one, connected(url_of(server)) as two:
        for seed in range(3):
            assert same(one.infer(observation(seed)), SmallVla().infer(observation(seed)))
            assert same(two.infer(observation(seed + 7)), SmallVla().infer(observation(seed + 7)))


def test_health_is_answered_over_http() -> None:
    with served(SmallVla()) as server:
        with urllib.request.urlopen(f'http://127.0.0.1:{server.port}/healthz', timeout=10) as answer:
            assert (answer.status, answer.read()) == (200, b'OK\n')
        with pytest.raises(HTTPError):
            urllib.request.urlopen(f'http://127.0.0.1:{server.port}/other', timeout=10)


def test_one_client_too_many_is_turned_away_and_the_place_becomes_free() -> None:
    with served(SmallVla(), clients=1) as server:
        with connected(url_of(server)) as first:
            with pytest.raises(ConfigError, match='1 clients are connected already'):
                RemoteBackbone(quick(url_of(server), connect_wait_s=0.01))
            first.infer(observation())
        with connected(url_of(server)) as second:
            second.infer(observation())


@pytest.mark.parametrize(
    ('message', 'problem'),
    [
        (b'\xc1', 'not msgpack'),
        (pack([1, 2]), 'must be a map'),
        (pack({}), 'prompt'),
        (pack({'prompt': 'x' * 5000}), 'at most 4096'),
        (pack({'prompt': 'x'}), "image 'front' is missing"),
    ],
)
def test_bad_requests_get_one_line_and_the_connection_goes_on(message: bytes, problem: str) -> None:
    from websockets.sync.client import connect

    with served(SmallVla()) as server, connect(url_of(server), proxy=None) as socket:
        socket.recv()
        socket.send(message)
        answer = socket.recv(timeout=10)
        assert isinstance(answer, str) and problem in answer and '\n' not in answer
        with connected(url_of(server)) as other:
            assert other.infer(observation()).actions.shape == (4, 7)
        socket.send('text')
        assert 'must be msgpack' in socket.recv(timeout=10)


class BadVla(SmallVla):
    """Raises, or answers what the contract forbids."""

    def infer(self, observation: Observation) -> VlaOutput:
        good = super().infer(observation)
        if observation.instruction == 'raise':
            raise RuntimeError('out of memory\nsecond line')
        if observation.instruction == 'nan':
            return VlaOutput(good.features * np.float32(np.nan), good.actions)
        return VlaOutput(good.features, good.actions[:2])


@pytest.mark.parametrize(('word', 'problem'), [('raise', 'out of memory'), ('nan', 'not finite'), ('short', 'shape')])
def test_failing_backbone_is_reported_and_the_server_goes_on(word: str, problem: str) -> None:
    with served(BadVla()) as server, connected(url_of(server)) as remote:
        for _ in range(2):
            with pytest.raises(RemoteError, match=f'the backbone failed: .*{problem}'):
                remote.infer(observation(instruction=word))


# --- observations are checked before they are sent ---


@pytest.mark.parametrize(
    ('changes', 'problem'),
    [
        ({'images': {}}, 'is missing'),
        ({'images': {'front': np.zeros((2, 2), np.uint8)}}, 'must be uint8'),
        ({'images': {'front': np.zeros((2, 2, 3), np.float32)}}, 'must be uint8'),
        ({'images': {'front': np.zeros((9000, 1, 3), np.uint8)}}, 'at most 8192'),
        ({'state': {}}, 'position'),
        ({'joint_positions': np.full(8, np.nan, np.float32)}, 'not finite'),
        ({'joint_positions': np.zeros(3, np.float32)}, 'shape'),
    ],
)
def test_bad_observations_are_not_sent(changes: dict[str, Any], problem: str) -> None:
    vla = SmallVla()
    with served(vla) as server, connected(url_of(server)) as remote:
        with pytest.raises(InputError, match=problem):
            remote.infer(replace(observation(), **changes))
        remote.infer(observation())
    assert len(vla.seen) == 1


# --- servers that break the protocol ---


@pytest.mark.parametrize(
    ('answer', 'problem'),
    [
        (pack(good_answer(actions=np.full((4, 7), np.nan))), '28 of 28 values are not finite'),
        (pack(good_answer(actions=np.full((4, 7), 1e300))), 'not finite'),
        (pack(good_answer(actions=np.zeros((4, 6)))), 'shape'),
        (pack(good_answer(actions=[[0.0] * 7] * 4)), 'must be an array'),
        (pack(good_answer(features=np.ones(6)))[:], 'shape'),
        (pack(good_answer(features=np.full(5, np.inf))), 'not finite'),
        (pack({'actions': np.zeros((4, 7))}), 'features is NoneType'),
        (pack([1]), 'must be a map'),
        (b'\xc1\xc1', 'not msgpack'),
        ('Traceback (most recent call last):\n  File "x"\nValueError: bad \x1b[31mstate', r'ValueError: bad \\x1b'),
    ],
)
def test_bad_answers_are_refused_and_the_next_one_is_used(answer: bytes | str, problem: str) -> None:
    answers = iter([answer, pack(good_answer(features=np.full(5, 3.0)))])
    with scripted(lambda _: next(answers)) as url, connected(url) as remote:
        with pytest.raises(RemoteError, match=problem):
            remote.infer(observation())
        assert remote.infer(observation()).features.tolist() == [3.0] * 5


def test_message_of_a_gigabyte_ends_the_connection_and_not_the_server() -> None:
    from websockets.exceptions import ConnectionClosed
    from websockets.sync.client import connect

    block = b'\0' * (1 << 20)
    with served(SmallVla()) as server:
        with connect(url_of(server), proxy=None, compression=None) as socket:
            socket.recv()
            with pytest.raises(ConnectionClosed):
                socket.send(block for _ in range(1024))
                socket.recv(timeout=60)
            assert socket.close_code == 1009
        with connected(url_of(server)) as remote:
            assert remote.infer(observation()).actions.shape == (4, 7)


def test_answer_beyond_the_limit_is_refused() -> None:
    answers = iter([bytes(65 << 20), pack(good_answer())])
    with scripted(lambda _: next(answers)) as url, connected(url) as remote:
        with pytest.raises(RemoteError, match='connection ended'):
            remote.infer(observation())
        assert remote.infer(observation()).features.shape == (5,)


def test_late_answer_is_never_taken_for_a_later_request() -> None:
    late, calls = threading.Event(), []

    def answer(request: bytes) -> bytes:
        calls.append(request)
        if len(calls) == 1:
            late.wait(60)
        return pack(good_answer(features=np.full(5, len(calls), np.float32)))

    with scripted(answer) as url, connected(url, first_timeout_s=0.3) as remote:
        with pytest.raises(RemoteError, match=r'no answer within 0.3 s'):
            remote.infer(observation())
        late.set()
        with connected(url) as fresh:
            assert fresh.infer(observation()).features[0] == 2.0
        assert remote.infer(observation()).features[0] == 3.0


def test_close_ends_an_inference_that_waits() -> None:
    waiting, end = threading.Event(), threading.Event()

    def answer(request: bytes) -> bytes:
        waiting.set()
        end.wait(60)
        return pack(good_answer())

    errors: list[BaseException] = []
    with scripted(answer) as url, connected(url, first_timeout_s=60.0) as remote:

        def infer() -> None:
            try:
                remote.infer(observation())
            except RemoteError as error:
                errors.append(error)

        thread = threading.Thread(target=infer)
        thread.start()
        assert waiting.wait(60)
        remote.close()
        thread.join(30)
        alive = thread.is_alive()
        end.set()
    assert not alive
    assert len(errors) == 1


# --- a server in another process ---

PROGRAM = """
import sys, remote_rig, json
from dataclasses import replace
contract = replace(remote_rig.CONTRACT, backbone_hash=sys.argv[2] * 32)
from aura_ros.vla.remote import PolicyServer, ServerOptions
server = PolicyServer(remote_rig.SmallVla(), contract, ServerOptions(port=int(sys.argv[1])))
print(server.port, flush=True)
server.serve_forever()
"""


@contextmanager
def process(port: int = 0, digits: str = 'ab') -> Iterator[tuple[int, subprocess.Popen[str]]]:
    """Start a server; yields its port and process."""
    support = Path(__file__).parents[2] / 'support'
    paths = os.pathsep.join([str(support), str(Path(__file__).parents[3]), os.environ.get('PYTHONPATH', '')])
    words = [sys.executable, '-c', PROGRAM, str(port), digits]
    child = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=os.environ | {'PYTHONPATH': paths})
    try:
        assert child.stdout
        yield int(child.stdout.readline()), child
    finally:
        child.kill()
        child.wait()
        child.stdout.close()


def test_killed_server_gives_errors_until_it_is_back_with_the_same_weights() -> None:
    with process() as (port, child):
        remote = RemoteBackbone(quick(f'ws://127.0.0.1:{port}'))
        before = remote.infer(observation())
        child.kill()
        child.wait()
        for _ in range(2):
            with pytest.raises(RemoteError):
                remote.infer(observation())
    with process(port, 'cd'):
        with pytest.raises(RemoteError, match='another backbone since it was restarted'):
            remote.infer(observation())
    with process(port):
        assert same(remote.infer(observation()), before)
        remote.close()


def test_stopped_server_is_given_up_also_while_sending() -> None:
    large = observation()
    image = np.zeros((2160, 3840, 3), np.uint8)  # more than the buffers of a socket
    large = replace(large, images={'front': image, 'wrist': image})
    with process() as (port, child), connected(f'ws://127.0.0.1:{port}', timeout_s=0.5) as remote:
        remote.infer(observation())
        child.send_signal(signal.SIGSTOP)
        with pytest.raises(RemoteError, match=r'within 0.5 s'):
            remote.infer(large)
        child.send_signal(signal.SIGCONT)
        assert remote.infer(observation()).features.shape == (5,)


# --- the start ---


def test_missing_server_is_a_clear_error() -> None:
    with served(SmallVla()) as server:
        port = server.port
    with pytest.raises(ConfigError, match=r'cannot connect: .*aura serve'):
        RemoteBackbone(quick(f'ws://127.0.0.1:{port}', connect_wait_s=0.01))


@pytest.mark.parametrize(
    ('metadata', 'given', 'problem'),
    [
        ({}, None, 'FeaturePolicy'),
        ({}, CONTRACT, 'sends no features'),
        (CONTRACT.to_metadata() | {'aura': 9}, None, 'aura = 9'),
        (CONTRACT.to_metadata() | {'chunk_size': 'many'}, None, 'chunk_size'),
        (CONTRACT.to_metadata() | {'deterministic': False}, None, 'fix the noise'),
        (CONTRACT.to_metadata() | {'backbone_hash': ''}, None, 'backbone_hash'),
        (CONTRACT.to_metadata() | {'features': {'tap': 'x', 'dim': 0}}, None, r'features\.dim'),
        (CONTRACT.to_metadata(), replace(CONTRACT, actions=replace(ACTIONS, chunk_size=5)), 'differ in chunk_size'),
        (CONTRACT.to_metadata(), replace(CONTRACT, cameras=('front', 'side')), 'cameras differ'),
    ],
)
def test_what_the_server_says_is_checked_at_the_start(metadata: dict[str, Any], given: Any, problem: str) -> None:
    with scripted(lambda _: b'', metadata) as url, pytest.raises(ConfigError, match=problem):
        RemoteBackbone(quick(url), given)


def test_server_without_features_gives_actions_alone() -> None:
    with scripted(lambda _: pack({'actions': np.ones((4, 7))}), {}) as url, connected(url, PLAIN) as remote:
        output = remote.infer(observation())
        assert (remote.spec.feature_dim, output.features.shape) == (0, (0,))
        assert output.actions.tolist() == [[1.0] * 7] * 4
        assert len(remote.spec.backbone_hash) == 64


# --- a YAML file ---

FILE = """
remote: {url: %s, timeout_s: 3, connect_wait_s: 5}
name: plain
cameras: [front]
joint_names: [a, b]
actions: [{name: joints, dims: 2, kind: joint, mode: velocity, unit: rad/s}]
chunk_size: 3
n_action_steps: 2
seconds_per_action: 0.1
keys: {front: observation/exterior_image_1_left, joints: observation/joint_position}
"""


def test_file_describes_a_plain_server(tmp_path: Path) -> None:
    requests: list[bytes] = []

    def answer(request: bytes) -> bytes:
        requests.append(request)
        return pack({'actions': np.ones((3, 2), np.float32), 'policy_timing': {'infer_ms': 2.0}})

    path = tmp_path / 'plain.yaml'
    with scripted(answer, {}) as url:
        path.write_text(FILE % url)
        remote = load_backbone('remote', str(path))
        image = np.zeros((4, 4, 3), np.uint8)
        assert remote.infer(Observation({'front': image}, np.zeros(2, np.float32), 'go')).actions.shape == (3, 2)
        remote.close()  # type: ignore[attr-defined]
    assert set(unpack(requests[0])) == {'observation/exterior_image_1_left', 'observation/joint_position', 'prompt'}


@pytest.mark.parametrize(
    ('text', 'problem'),
    [
        ('name: x', "the key 'remote'"),
        ('remote: {url: http://x}', 'url'),
        ('remote: {url: ws://x, port: 3}', 'port is unknown'),
        ('remote: {url: ws://x, timeout_s: -1}', 'timeout_s'),
        ('remote: {url: ws://x}\ncamera: [a]', 'camera is unknown'),
        ('remote: {url: ws://x}\ncameras: [a]', 'is missing'),
    ],
)
def test_mistakes_in_the_file_are_named(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / 'remote.yaml'
    path.write_text(text)
    with pytest.raises(ConfigError, match=problem) as caught:
        load_backbone('remote', str(path))
    assert str(path) in str(caught.value)


@pytest.mark.parametrize('path', ['', 'weights.onnx', 'http://127.0.0.1:8000'])
def test_path_must_be_an_address_or_a_file(path: str) -> None:
    with pytest.raises(ConfigError, match='backbone_path'):
        load_backbone('remote', path)


# --- openpi's own client and server ---


def test_openpi_client_talks_to_our_server() -> None:
    client = pytest.importorskip('openpi_client.websocket_client_policy')
    seen = observation()
    with served(SmallVla()) as server:
        policy = client.WebsocketClientPolicy('127.0.0.1', server.port)
        assert policy.get_server_metadata()['features']['dim'] == 5
        answer = policy.infer(
            {f'observation/{name}': part for name, part in {**seen.images, **seen.state}.items()}
            | {'observation/joint_positions': seen.joint_positions, 'prompt': seen.instruction}
        )
        expected = SmallVla().infer(seen)
        assert np.array_equal(answer['actions'], expected.actions)
        assert np.array_equal(answer['features'], expected.features)
        assert answer['server_timing']['infer_ms'] >= 0.0
        with pytest.raises(RuntimeError, match='is missing'):
            policy.infer({'prompt': 'x'})
        policy._ws.close()


class OpenpiPolicy:
    """A policy as openpi has it, with actions only; `tokens` stands for a hook in its model."""

    def __init__(self) -> None:
        self.tokens = np.zeros((1, 2, 5), np.float32)

    def infer(self, obs: dict[str, Any]) -> dict[str, Any]:
        self.tokens = np.stack([np.arange(5), np.full(5, obs['observation/position'][0])])[None]
        return {'actions': np.full((4, 7), len(obs['prompt']), np.float64)}

    def reset(self) -> None:
        self.tokens = np.zeros((1, 2, 5), np.float32)


def test_wrapped_policy_behind_openpi_server() -> None:
    pytest.importorskip('openpi_client')
    openpi_server = pytest.importorskip('openpi_server')
    import asyncio

    from websockets.asyncio.server import serve

    policy = OpenpiPolicy()
    wrapped = openpi_server.WebsocketPolicyServer(
        FeaturePolicy(policy, lambda: policy.tokens), metadata=CONTRACT.to_metadata()
    )
    started, port = threading.Event(), []
    loop = asyncio.new_event_loop()

    async def run() -> None:
        async with serve(wrapped._handler, '127.0.0.1', 0, compression=None, max_size=None) as server:
            port.append(server.sockets[0].getsockname()[1])
            started.set()
            await server.serve_forever()

    task = loop.create_task(run())
    thread = threading.Thread(target=lambda: loop.run_until_complete(asyncio.gather(task, return_exceptions=True)))
    thread.start()
    assert started.wait(30)
    seen = observation()
    with connected(f'ws://127.0.0.1:{port[0]}') as remote:
        output = remote.infer(seen)
        assert output.features == pytest.approx((np.arange(5) + seen.state['position'][0]) / 2)
        assert output.actions.tolist() == [[float(len(seen.instruction))] * 7] * 4
    loop.call_soon_threadsafe(task.cancel)
    thread.join()
    loop.close()


def test_feature_policy_refuses_a_tap_without_finite_features() -> None:
    with pytest.raises(InputError, match='tap'):
        FeaturePolicy(OpenpiPolicy(), lambda: [np.nan]).infer({'observation/position': [1.0], 'prompt': 'x'})
