# SPDX-License-Identifier: Apache-2.0
"""A DDS domain of its own for each test, nodes in this process or as real processes on it.

A folder of tests takes it by `from ros_graph import domain, graph` in its conftest.py.
"""

import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
# Before rclpy is loaded: field checks, and discovery that is fast and stays on this machine.
os.environ['ROS_PYTHON_CHECK_FIELDS'] = '1'
os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'
os.environ.setdefault('FASTDDS_BUILTIN_TRANSPORTS', 'UDPv4')
_PROFILE = ROOT / 'config/fastdds_fast_discovery.xml'
os.environ.setdefault('FASTDDS_DEFAULT_PROFILES_FILE', str(_PROFILE))

import pytest  # noqa: E402
import rclpy  # noqa: E402
from rcl_interfaces.srv import GetParameters  # noqa: E402
from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from rclpy.node import Node  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402

TIMEOUT_S = 60.0
_ASK_AGAIN_S = 2.0
CONFIG = ROOT / 'config'


class Graph:
    """One DDS domain: an observer in this process, and the nodes under test.

    Attributes:
        node: plain node of the test.
        heard: messages by topic, oldest first, of the topics the test listens to.
    """

    def __init__(self, domain: int, folder: Path) -> None:
        self.domain, self.folder = domain, folder
        self.context = rclpy.Context()
        rclpy.init(context=self.context, domain_id=domain)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.node = Node('tester', context=self.context)
        self.executor.add_node(self.node)
        self.received: dict[str, list[Any]] = {}
        self._inside: list[Any] = []
        self._processes: dict[str, subprocess.Popen[str]] = {}
        self._logs: dict[str, Path] = {}

    def listen(self, kind: type, topic: str, profile: Any) -> list[Any]:
        """Subscribe, once; returns the list that the messages go to."""
        if topic not in self.received:
            self.received[topic] = []
            self.node.create_subscription(kind, topic, self.received[topic].append, profile)
        return self.received[topic]

    def until(self, done: Callable[[], Any], what: str, timeout_s: float = TIMEOUT_S) -> Any:
        """Spin until `done`; fails the test after `timeout_s`."""
        end = time.monotonic() + timeout_s
        while not (result := done()):
            if time.monotonic() > end:
                raise AssertionError(f'timed out: {what}\n{self.logs()}')
            self.executor.spin_once(timeout_sec=0.05)
        return result

    def spin(self, seconds: float) -> None:
        """Let everything happen for a while."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.executor.spin_once(timeout_sec=0.02)

    def taken(self, node: Node, topic: str, keep: Callable[[Any], Any] = lambda message: message) -> list[Any]:
        """Return the list of what a node in this process takes from `topic` from now on, each reduced by `keep`."""
        (subscription,) = (each for each in node.subscriptions if each.topic_name == f'/{topic.lstrip("/")}')
        callback, found = subscription.callback, []

        def take(message: Any) -> None:
            callback(message)
            found.append(keep(message))

        subscription.callback = take
        return found

    def sent(self, node: Node, topic: str) -> list[Any]:
        """Return the list of what a node in this process publishes on `topic` from now on."""
        (publisher,) = (each for each in node.publishers if each.topic_name == f'/{topic.lstrip("/")}')
        publish, found = publisher.publish, []

        def send(message: Any) -> None:
            found.append(message)
            publish(message)

        publisher.publish = send
        return found

    def matched(self, publisher: Any, count: int = 1) -> None:
        """Wait until a publisher has as many subscribers."""
        self.until(lambda: publisher.get_subscription_count() >= count, publisher.topic_name)

    def discovered_by(self, *names: str) -> None:
        """Wait until each of these nodes has discovered all subscriptions and publishers of the test.

        Discovery is reliable and in order: a node that answers a client created now has discovered what is older.
        """
        for name in names:
            client = self.node.create_client(GetParameters, f'/{name}/get_parameters')
            self.until(client.service_is_ready, f'{name} is up')
            asked: list[Any] = []
            again_at = 0.0

            def answered(client: Any = client, asked: list[Any] = asked) -> bool:
                nonlocal again_at
                if time.monotonic() > again_at:  # what goes to a node that was just killed is never answered
                    asked.append(client.call_async(GetParameters.Request()))
                    again_at = time.monotonic() + _ASK_AGAIN_S
                return any(future.done() for future in asked)

            self.until(answered, f'answer of {name}')
            self.node.destroy_client(client)

    def call(self, kind: type, name: str, request: Any) -> Any:
        """Call a service and return its answer."""
        client = self.node.create_client(kind, name)
        self.until(client.service_is_ready, f'service {name}')
        future = client.call_async(request)
        self.until(future.done, f'answer of {name}')
        self.node.destroy_client(client)
        return future.result()

    def inside(self, make: Callable[..., Any], **parameters: Any) -> Any:
        """Make a node in this process; lifecycle nodes are configured and activated."""
        overrides = [Parameter(name.replace('__', '.'), value=value) for name, value in parameters.items()]
        node = make(context=self.context, parameter_overrides=overrides)
        self.executor.add_node(node)
        self._inside.append(node)
        return node

    def start(self, name: str, *arguments: str, **parameters: Any) -> 'subprocess.Popen[str]':
        """Start the executable scripts/NAME as a process of its own."""
        command = [sys.executable, str(ROOT / 'scripts' / name), '--ros-args', *arguments]
        for key, value in parameters.items():
            text = str(value).lower() if isinstance(value, bool) else str(value)
            command += ['-p', f'{key.replace("__", ".")}:={text}']
        log = self.folder / f'{name}-{len(self._logs)}.log'
        environment = dict(os.environ, ROS_DOMAIN_ID=str(self.domain), PYTHONUNBUFFERED='1')
        # this folder for fakes.py
        path = [str(ROOT), str(Path(__file__).parent), os.environ.get('PYTHONPATH', '')]
        environment['PYTHONPATH'] = os.pathsep.join(filter(None, path))
        with log.open('w') as file:
            process = subprocess.Popen(command, env=environment, stdout=file, stderr=file, text=True)
        self._processes[name], self._logs[name] = process, log
        return process

    def log(self, name: str) -> str:
        """Return what a process has said so far."""
        return self._logs[name].read_text()

    def logs(self) -> str:
        """Return what all processes have said."""
        return '\n'.join(f'== {name}\n{self.log(name)}' for name in self._logs)

    def close(self) -> None:
        """End everything."""
        for process in self._processes.values():
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self._processes.values():
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
    """A ROS_DOMAIN_ID that nobody on this machine uses; a bound port keeps it from other tests."""
    first = random.randrange(100)
    for number in (1 + (first + offset) % 100 for offset in range(100)):
        # Where DDS puts the first participant of a domain.
        if not _free(7410 + 250 * number):
            continue
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as token:
            try:
                token.bind(('127.0.0.1', 47000 + number))
            except OSError:
                continue
            yield number
            return
    pytest.fail('all DDS domains are taken')


@pytest.fixture
def domain() -> Iterator[int]:
    """A DDS domain of the test's own."""
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
    """A graph with nothing but the tester in it."""
    found = Graph(domain, tmp_path)
    yield found
    found.close()
