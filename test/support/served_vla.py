# SPDX-License-Identifier: Apache-2.0
"""A VLA in an environment of its own, served to the graph of the simulated arm as a user does it.

`aura serve` runs in `.venv-NAME` of `./run vla_env`. The graph runs from its launch file, and each tool as its command.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import yaml
from aura_ros.action import RunEpisode
from aura_ros.msg import ActionChunk, PolicyStatus
from aura_ros.srv import SelectPolicy
from rclpy.action import ActionClient
from ros_graph import CONFIG, ROOT, Graph
from trajectory_msgs.msg import JointTrajectory

from aura_ros.common.names import POLICIES
from aura_ros.ros import qos

LAUNCH = ROOT / 'launch/sim.launch.yaml'
SUPPORT = Path(__file__).parent
_PATIENCE_S = 300.0
_END_S = 30.0


@dataclass(frozen=True)
class Family:
    """A family of VLAs and how its small model drives the simulated arm."""

    name: str
    """Backbone of `aura serve`."""
    robot: str
    """Robot file in config/; '' is the one beside the checkpoint."""
    n_action_steps: int
    """Actions of a chunk that are executed [1]."""
    in_environment: bool = True
    """Whether it runs in an environment of `./run vla_env`, and not in that of the tests."""

    @property
    def python(self) -> str:
        """Python of its environment."""
        return str(ROOT / f'.venv-{self.name}/bin/python') if self.in_environment else sys.executable


@dataclass(frozen=True)
class Served:
    """A VLA behind `aura serve`."""

    family: Family
    folder: Path
    """Folder with its checkpoint and its files; working folder of all commands."""
    address: str

    @property
    def backbone_file(self) -> Path:
        """Parameters of vla_node."""
        return self.folder / 'remote.yaml'

    @property
    def robot_file(self) -> Path:
        """The robot file."""
        return CONFIG / self.family.robot if self.family.robot else self.folder / 'robot.yaml'

    @property
    def arguments(self) -> list[str]:
        """Arguments of aura train, features and replay that name the backbone."""
        return ['--backbone', 'remote', '--backbone-weights', self.address]


@contextmanager
def served(family: Family, folder: Path) -> Iterator[Served]:
    """Write the small checkpoint of a family, and serve it."""
    # An environment of a VLA has no ROS, whose library path must not reach its packages.
    plain = {name: value for name, value in os.environ.items() if name != 'LD_LIBRARY_PATH' and 'ROS' not in name}
    environment = plain | {'PYTHONPATH': os.pathsep.join(map(str, (ROOT, SUPPORT))), 'HOME': str(folder)}
    command = [family.python, '-m', 'aura_ros.cli', 'serve', '--port', '0', '--backbone', family.name]
    if family.in_environment:
        write = [family.python, str(SUPPORT / 'served_families.py'), family.name, str(folder)]
        subprocess.run(write, env=environment, check=True, timeout=_PATIENCE_S)
        command += ['--path', str(folder / 'model.yaml')]
    log = folder / 'serve.log'
    with log.open('w') as file:
        process = subprocess.Popen(command, env=environment, stdout=file, stderr=file)
    try:
        end = time.monotonic() + _PATIENCE_S
        while not (found := re.search(r'serving on (ws://\S+),', log.read_text())):
            assert process.poll() is None and time.monotonic() < end, log.read_text()
            time.sleep(0.1)
        remote = yaml.safe_load((CONFIG / 'remote.yaml').read_text())
        remote['/**']['ros__parameters']['backbone_path'] = found[1]
        (folder / 'remote.yaml').write_text(yaml.safe_dump(remote))
        yield Served(family, folder, found[1])
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(_END_S)


def run(folder: Path, *words: str) -> str:
    """Run `aura WORDS` in a folder and return its output."""
    environment = {**os.environ, 'XDG_CACHE_HOME': str(folder / 'cache'), 'COLUMNS': '500'}
    environment['PYTHONPATH'] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get('PYTHONPATH', '')]))
    command = [sys.executable, '-m', 'aura_ros.cli', *words]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=_PATIENCE_S)
    assert done.returncode == 0, f'{words}: {done.stdout}\n{done.stderr}'
    return done.stdout


class Arm:
    """The simulated arm with its graph, from the launch file, and the messages that a test looks at."""

    def __init__(self, graph: Graph, vla: Served, **arguments: str) -> None:
        """Start the graph; `arguments` are those of sim.launch.yaml."""
        self._graph = graph
        self.statuses: list[Any] = graph.listen(PolicyStatus, 'policy_status', qos.POLICY_STATUS)
        self.commands: list[Any] = graph.listen(JointTrajectory, 'joint_command', qos.COMMAND)
        self.chunks = {
            policy: graph.listen(ActionChunk, f'{policy}/action_chunk', qos.chunk()) for policy in ('aura', 'kv')
        }
        files = {'backbone_file': vla.backbone_file, 'robot_file': vla.robot_file, 'task': 'visible'}
        words = [f'{name}:={value}' for name, value in {**files, **arguments}.items()]
        self._log = vla.folder / f'launch-{len(list(vla.folder.glob("launch-*")))}.log'
        environment = {**os.environ, 'ROS_DOMAIN_ID': str(graph.domain)}
        environment['PYTHONPATH'] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get('PYTHONPATH', '')]))
        command = [sys.executable, '-m', 'aura_ros.cli', 'launch', str(LAUNCH), *words]
        with self._log.open('w') as file:
            self._process = subprocess.Popen(
                command, env=environment, stdout=file, stderr=file, cwd=vla.folder, start_new_session=True
            )
        self._client = ActionClient(graph.node, RunEpisode, 'run_episode')
        self.until(self._client.server_is_ready, 'run_episode')
        self.until(lambda: self.statuses, 'policy_status')

    @property
    def log(self) -> str:
        """Output of the launch so far."""
        return self._log.read_text()

    def until(self, done: Any, what: str, timeout_s: float = 120.0) -> Any:
        """Process messages until `done` returns a true value, and return that."""

        def checked() -> Any:
            assert self._process.poll() is None, f'the launch ended: {self.log}'
            return done()

        try:
            return self._graph.until(checked, what, timeout_s)
        except AssertionError as error:
            error.add_note(f'{self.log[-6000:]}\nthe last status: {self.statuses[-1:]}')
            raise

    def begin(self) -> None:
        """Start an episode once all nodes are active."""
        goal = RunEpisode.Goal(instruction='touch the red block')

        def accepted() -> Any:
            future = self._client.send_goal_async(goal)
            self._graph.until(future.done, 'an answer to the goal')
            return future.result() if future.result().accepted else None

        self._handle = self.until(accepted, 'an accepted goal')
        self.driven_by('base')

    def driven_by(self, policy: str) -> None:
        """Wait until a policy drives."""
        number = POLICIES.index(policy)
        self.until(lambda: not self.statuses[-1].holding and self.statuses[-1].policy == number, f'{policy} drives')

    def steps(self, count: int, policies: Sequence[str] = POLICIES) -> None:
        """Wait for `count` more steps of each of these policies."""
        places = [POLICIES.index(policy) for policy in policies]
        wanted = {place: int(self.statuses[-1].newest_seq[place]) + count for place in places}
        self.until(
            lambda: all(int(self.statuses[-1].newest_seq[place]) >= least for place, least in wanted.items()),
            f'{count} more steps',
        )

    def select(self, policy: str) -> int:
        """Let a policy drive; return the step from which it does."""
        number = POLICIES.index(policy)
        response = self._graph.call(SelectPolicy, 'select_policy', SelectPolicy.Request(policy=number))
        assert response.success and response.new_policy == number, response
        return int(response.effective_seq)

    def finish(self) -> None:
        """End the episode, and the launch with Ctrl-C."""
        cancelled = self._handle.cancel_goal_async()
        self._graph.until(cancelled.done, 'the end of the episode')
        self._client.destroy()
        assert self._stop() == 130, self.log

    def _stop(self) -> int:
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGINT)
        return self._process.wait(_END_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()


def samples(path: Path, topics: Sequence[str]) -> Mapping[str, list[Any]]:
    """Return the messages of a recording by topic."""
    from aura_ros.recordings.bags import Bag

    found: dict[str, list[Any]] = {topic: [] for topic in topics}
    with Bag(path) as bag:
        for sample in bag.samples(topics):
            found[sample.topic].append(sample.message)
    return found


def stamp_ns(message: Any) -> int:
    """Return the stamp of a message [ns]."""
    return int(message.header.stamp.sec) * 10**9 + int(message.header.stamp.nanosec)


def report(folder: Path) -> dict[str, Any]:
    """Return the figures of a replay."""
    found: dict[str, Any] = json.loads((folder / 'aura_replay/report.json').read_text())
    return found
