# SPDX-License-Identifier: Apache-2.0
"""A package of stand-ins for the nodes, and `aura launch` as a process that starts them."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil
import pytest

from aura_ros.tools.launch import ros_launch

ROOT = Path(__file__).parents[2]
NODES = ('vla_node', 'memory_node', 'kv_baseline_node', 'policy_switch_node', 'sim_node', 'panel', 'player', 'recorder')
TIMEOUT_S = 60.0
HERE = 'AURA_LAUNCH_TEST'

# A stand-in reads its behaviour from its environment, so that its command line is that of the node.
_STAND_IN = """\
#!/usr/bin/env python3
import json, os, signal, subprocess, sys, time
from pathlib import Path
arguments = sys.argv[1:]
files = [b for a, b in zip(arguments, arguments[1:]) if a == '--params-file']
files = {f: Path(f).read_text() for f in files}
report = {'program': sys.argv[0], 'arguments': arguments, 'files': files}
name = Path(sys.argv[0]).name
wish = json.loads(os.environ.get('WISH', '{}')).get(name, {})
if wish.get('stubborn'):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if wish.get('leaves_child'):
    subprocess.Popen(['sleep', '1000'], start_new_session=True)
out = Path(os.environ['REPORTS']) / f'{name}-{os.getpid()}'
out.write_text(json.dumps(report))
print(name, 'is up', flush=True)
if wish.get('last_words'):
    Path(os.environ['AURA_CLOSING'].partition(':')[2]).write_text(wish['last_words'])
try:
    out.rename(out.with_suffix('.json'))  # from now on the test may interrupt it or end its launcher
    time.sleep(wish.get('life_s', 1000))
except KeyboardInterrupt:
    time.sleep(wish.get('slow_stop_s', 0))
    out.with_suffix('.stopped').touch()
    print(name, 'was interrupted', flush=True)
    sys.exit(0)
if wish.get('dies_by'):
    os.kill(os.getpid(), wish['dies_by'])
sys.exit(wish.get('code', 0))
"""


@pytest.fixture(scope='session')
def prefix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install prefix of a package aura_ros whose executables are stand-ins."""
    path = tmp_path_factory.mktemp('prefix')
    index = path / 'share/ament_index/resource_index/packages'
    for folder in (index, path / 'share/aura_ros', path / 'lib/aura_ros'):
        folder.mkdir(parents=True)
    (index / 'aura_ros').touch()
    for name in NODES:
        program = path / 'lib/aura_ros' / name
        program.write_text(_STAND_IN)
        program.chmod(0o755)
    return path


@pytest.fixture
def stand_ins(prefix: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make the stand-ins visible to the reader in this process; return their prefix."""
    monkeypatch.setenv('AMENT_PREFIX_PATH', str(prefix))
    return prefix


@dataclass
class Launched:
    """One running `aura launch`; leaving it kills all remaining processes, also after a failed test."""

    process: subprocess.Popen[str]
    reports: Path
    marker: str
    output: str = ''

    def __enter__(self) -> 'Launched':
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for left in self.children():
            left.kill()
        assert self.process.stdout is not None
        self.process.stdout.close()

    def children(self) -> list[psutil.Process]:
        """Return the running processes that the launch has started, without `aura launch` itself."""
        found = []
        for process in psutil.process_iter():
            try:
                marked = process.environ().get(HERE) == self.marker
            except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
                continue
            if marked and process.pid != self.process.pid:
                found.append(process)
        return found

    def nodes(self, count: int) -> list[dict[str, Any]]:
        """Wait until `count` stand-ins run; return their command lines and files."""
        _wait_until(lambda: len(list(self.reports.glob('*.json'))) >= count, f'{count} nodes to be up')
        files = sorted(self.reports.glob('*.json'))
        return [json.loads(file.read_text()) | {'name': file.name.rsplit('-', 1)[0]} for file in files]

    def stopped(self) -> list[str]:
        """Return the names of the stand-ins that ended by themselves after one SIGINT."""
        return sorted(file.name.rsplit('-', 1)[0] for file in self.reports.glob('*.stopped'))

    def wait_for_line(self, text: str) -> None:
        """Read the output up to a line with `text`."""
        assert any(text in line for line in self.process.stdout), f'no line with {text!r}'

    def wait(self) -> int:
        """Wait for the end and return the exit code; `output` then has the output."""
        if self.process.stdout.closed:
            return self.process.wait(TIMEOUT_S)
        self.output = self.process.communicate(timeout=TIMEOUT_S)[0]
        return self.process.returncode

    def wait_for_no_children(self) -> None:
        """Wait until all processes that the launch has started have ended."""
        _wait_until(lambda: not self.children(), 'all children to be gone')


def _wait_until(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < end, f'waited {TIMEOUT_S} s for {what}'
        time.sleep(0.05)


@pytest.fixture(
    params=[
        'own',
        pytest.param('ros', marks=pytest.mark.skipif(not ros_launch.available(), reason='ROS launch is not installed')),
    ]
)
def back_end(request: pytest.FixtureRequest) -> str:
    """'own' or 'ros': the program that launches."""
    return str(request.param)


def surroundings(prefix: Path, reports: Path, wish: dict[str, Any] | None = None) -> dict[str, str]:
    """Create the folder `reports`, and return the environment of a launch whose stand-ins report there."""
    reports.mkdir()
    ament = os.pathsep.join(filter(None, [str(prefix), os.environ.get('AMENT_PREFIX_PATH', sys.prefix)]))
    return os.environ | {
        'AMENT_PREFIX_PATH': ament,
        'ROS_LOG_DIR': str(reports / 'log'),
        'REPORTS': str(reports),
        'WISH': json.dumps(wish or {}),
        HERE: str(reports),
    }


Start = Callable[..., Launched]


@pytest.fixture
def start(prefix: Path, tmp_path: Path) -> Iterator[Start]:
    """Return a function that starts `aura launch` on a file with the stand-ins as nodes."""
    running: list[Launched] = []

    def run(back_end: str, file: Path, *words: str, wish: dict[str, Any] | None = None) -> Launched:
        reports = tmp_path / f'reports-{len(running)}'
        environment = surroundings(prefix, reports, wish)
        options = ['--force-own'] if back_end == 'own' else []
        process = subprocess.Popen(
            [sys.executable, '-m', 'aura_ros.tools.launch', *options, str(file), *words],
            env=environment,
            cwd=ROOT,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        running.append(Launched(process, reports, environment[HERE]))
        return running[-1]

    yield run
    for launched in running:
        with launched:
            if launched.process.poll() is None:
                launched.process.send_signal(signal.SIGINT)
                launched.wait()


@pytest.fixture
def prepare(prefix: Path, tmp_path: Path) -> Callable[[dict[str, Any]], Any]:
    """Return a function that returns the environment of one launch, and a function that follows its process."""

    def make(wish: dict[str, Any]) -> tuple[dict[str, str], Callable[[subprocess.Popen[str]], Launched]]:
        reports = tmp_path / 'reports'
        return surroundings(prefix, reports, wish), lambda process: Launched(process, reports, str(reports))

    return make


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str], Path]:
    """Return a function that writes a launch file and returns its path."""

    def to(text: str, name: str = 'some.launch.yaml') -> Path:
        path = tmp_path / name
        path.write_text(textwrap.dedent(text))
        return path

    return to
