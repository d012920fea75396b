# SPDX-License-Identifier: Apache-2.0
"""A separate DDS domain for each test, with nodes in this process or in processes of their own.

A conftest.py imports the fixtures with `from ros_graph import domain, graph`.
"""

import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from copy import copy
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
# Set before rclpy is loaded: field checks, and fast discovery on this machine only.
os.environ['ROS_PYTHON_CHECK_FIELDS'] = '1'
os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'
os.environ.setdefault('FASTDDS_BUILTIN_TRANSPORTS', 'UDPv4')
_PROFILE = ROOT / 'config/fastdds_fast_discovery.xml'
os.environ.setdefault('FASTDDS_DEFAULT_PROFILES_FILE', str(_PROFILE))

import pytest  # noqa: E402
import rclpy  # noqa: E402
import rclpy.subscription  # noqa: E402
from rcl_interfaces.srv import GetParameters  # noqa: E402
from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from rclpy.node import Node  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from rclpy.qos import QoSProfile  # noqa: E402
from rclpy.serialization import deserialize_message  # noqa: E402

knows_publishers = pytest.mark.skipif(
    not hasattr(rclpy.subscription, 'MessageInfo'), reason='this rclpy does not report the publisher of a message'
)

TIMEOUT_S = 60.0
_RESEND_S = 2.0
_QUEUE = 5000
CONFIG = ROOT / 'config'


class Graph:
    """One DDS domain with the node of the test and the nodes under test."""

    def __init__(self, domain: int, folder: Path) -> None:
        self.domain, self.folder = domain, folder
        self.context = rclpy.Context()
        rclpy.init(context=self.context, domain_id=domain)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.node = Node('tester', context=self.context)
        """The node of the test."""
        self.executor.add_node(self.node)
        self.received: dict[str, list[Any]] = {}
        """Messages of the topics to which the test subscribes, oldest first."""
        self._inside: list[Any] = []
        self._processes: list[subprocess.Popen[str]] = []
        self._logs: list[tuple[str, Path]] = []

    def listen(self, kind: type, topic: str, profile: QoSProfile) -> list[Any]:
        """Subscribe to `topic` unless the test already does; return the list of its messages.

        The queue is deeper than the profile's, because a test on a busy machine must not lose a message.
        """
        if topic not in self.received:
            self.received[topic] = []
            deep = copy(profile)
            deep.depth = max(profile.depth, _QUEUE)
            self.node.create_subscription(kind, topic, self.received[topic].append, deep)
        return self.received[topic]

    def until(self, done: Callable[[], Any], what: str, timeout_s: float = TIMEOUT_S) -> Any:
        """Spin until `done` returns a true value, and return that; fail the test after `timeout_s`."""
        end = time.monotonic() + timeout_s
        while not (result := done()):
            if time.monotonic() > end:
                raise AssertionError(f'timed out: {what}\n{self.logs()}')
            self.executor.spin_once(timeout_sec=0.05)
        return result

    def spin(self, seconds: float) -> None:
        """Process messages for a while [s]."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.executor.spin_once(timeout_sec=0.02)

    def taken(self, node: Node, topic: str, keep: Callable[[Any], Any] = lambda message: message) -> list[Any]:
        """Return a list to which `keep` of each message that `node`, in this process, receives from now on is added."""
        (subscription,) = (each for each in node.subscriptions if each.topic_name == f'/{topic.lstrip("/")}')
        callback, found = subscription.callback, []

        def take(message: Any) -> None:
            callback(message)
            found.append(keep(message))

        def take_raw(raw: Any, info: Any) -> None:
            callback(raw, info)
            found.append(keep(deserialize_message(raw, subscription.msg_type)))

        subscription.callback = take_raw if subscription.raw else take
        return found

    def sent(self, node: Node, topic: str) -> list[Any]:
        """Return a list to which each message that `node`, in this process, publishes from now on is added."""
        (publisher,) = (each for each in node.publishers if each.topic_name == f'/{topic.lstrip("/")}')
        publish, found = publisher.publish, []

        def send(message: Any) -> None:
            found.append(message)
            publish(message)

        publisher.publish = send
        return found

    def matched(self, publisher: Any, count: int = 1) -> None:
        """Wait until a publisher has at least `count` subscribers."""
        self.until(lambda: publisher.get_subscription_count() >= count, publisher.topic_name)

    def discovered_by(self, *names: str) -> None:
        """Wait until each of these nodes has discovered all publishers and subscriptions of the test.

        Discovery is reliable and in order, so a node that answers a new client has discovered everything older.
        """
        for name in names:
            client = self.node.create_client(GetParameters, f'/{name}/get_parameters')
            self.until(client.service_is_ready, f'{name} is up')
            futures: list[Any] = []
            resend_at = 0.0

            def answered(client: Any = client, futures: list[Any] = futures) -> bool:
                nonlocal resend_at
                if time.monotonic() > resend_at:  # a request to a node that was just killed is never answered
                    futures.append(client.call_async(GetParameters.Request()))
                    resend_at = time.monotonic() + _RESEND_S
                return any(future.done() for future in futures)

            self.until(answered, f'answer of {name}')
            self.node.destroy_client(client)

    def call(self, kind: type, name: str, request: Any, repeats: int = 0) -> Any:
        """Call a service and return its response; repeat a call whose response DDS may have lost."""
        client = self.node.create_client(kind, name)
        self.until(client.service_is_ready, f'service {name}')
        for _ in range(repeats):
            future = client.call_async(request)
            with suppress(AssertionError):
                self.until(future.done, f'answer of {name}', 10.0)
                break
        else:
            future = client.call_async(request)
            self.until(future.done, f'answer of {name}')
        self.node.destroy_client(client)
        return future.result()

    def inside(self, make: Callable[..., Any], **parameters: Any) -> Any:
        """Create a node in this process and add it to the executor."""
        overrides = [Parameter(name.replace('__', '.'), value=value) for name, value in parameters.items()]
        node = make(context=self.context, parameter_overrides=overrides)
        self.executor.add_node(node)
        self._inside.append(node)
        return node

    def start(self, name: str, *arguments: str, **parameters: Any) -> 'subprocess.Popen[str]':
        """Start the executable scripts/NAME in its own process."""
        command = [sys.executable, str(ROOT / 'scripts' / name), '--ros-args', *arguments]
        for key, value in parameters.items():
            text = str(value).lower() if isinstance(value, bool) else str(value)
            command += ['-p', f'{key.replace("__", ".")}:={text}']
        log = self.folder / f'{name}-{len(self._logs)}.log'
        environment = dict(os.environ, ROS_DOMAIN_ID=str(self.domain), PYTHONUNBUFFERED='1')
        # This folder contains fakes.py.
        path = [str(ROOT), str(Path(__file__).parent), os.environ.get('PYTHONPATH', '')]
        environment['PYTHONPATH'] = os.pathsep.join(filter(None, path))
        with log.open('w') as file:
            process = subprocess.Popen(command, env=environment, stdout=file, stderr=file, text=True)
        self._processes.append(process)
        self._logs.append((name, log))
        return process

    def log(self, name: str) -> str:
        """Return the output so far of the process that was started last with this name."""
        return next(log for started, log in reversed(self._logs) if started == name).read_text()

    def logs(self) -> str:
        """Return the output of all processes so far."""
        return '\n'.join(f'== {name}\n{log.read_text()}' for name, log in self._logs)

    def close(self) -> None:
        """Stop all processes and destroy all nodes."""
        for process in self._processes:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self._processes:
            try:
                process.wait(TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for node in self._inside:
            node.teardown()
        self.executor.shutdown()
        for node in (*self._inside, self.node):
            node.destroy_node()
        self.context.try_shutdown()


@contextmanager
def free_domain() -> Iterator[int]:
    """Yield a ROS_DOMAIN_ID that is unused on this machine; a bound port reserves it against other tests."""
    first = random.randrange(100)
    ours = os.environ.get('ROS_DOMAIN_ID')  # of tests that ask for no domain, perhaps in another process
    for number in (1 + (first + offset) % 100 for offset in range(100)):
        if str(number) == ours:
            continue
        # The ports of the first DDS participants of a domain. A process that is left alone there need not be the first.
        if not all(_free(7410 + 250 * number + 2 * participant) for participant in range(20)):
            continue
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as token:
            try:
                token.bind(_token(number))
            except OSError:
                continue
            yield number
            return
    pytest.fail('all DDS domains are in use')


@contextmanager
def reserved_domain(number: int, timeout_s: float = 600.0) -> Iterator[None]:
    """Wait until no other test holds ROS_DOMAIN_ID `number`, and hold it: for programs that choose their domain."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as token:
        until = time.monotonic() + timeout_s
        while True:
            try:
                token.bind(_token(number))
                break
            except OSError:
                if time.monotonic() > until:
                    pytest.fail(f'another test holds ROS_DOMAIN_ID {number} for longer than {timeout_s:.0f} s')
                time.sleep(0.2)
        yield


def _token(number: int) -> tuple[str, int]:
    """Return the local UDP address whose owner holds a domain."""
    return '127.0.0.1', 47000 + number


@pytest.fixture
def domain() -> Iterator[int]:
    """A DDS domain that only this test uses."""
    with free_domain() as number:
        yield number


def _free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(('0.0.0.0', port))
        except OSError:
            return False
        return True


@pytest.fixture
def graph(domain: int, tmp_path: Path) -> Iterator[Graph]:
    """A graph that contains only the node of the test."""
    found = Graph(domain, tmp_path)
    yield found
    found.close()
