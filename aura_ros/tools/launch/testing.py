# SPDX-License-Identifier: Apache-2.0
"""Write a test of a running graph once, for launch_pytest and for `aura launch`.

    @launch_fixture
    def graph() -> Graph:
        return Graph(Path('launch/sim.launch.yaml'), {'rounds': '2'})

    @launch_test(graph)
    def test_nodes() -> None:
        ...  # runs beside the graph, which ends afterwards

With launch_pytest, the fixture returns a LaunchDescription that includes the file, and the mark is
`pytest.mark.launch`. Without it, `aura launch --force-own` runs the file.
"""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from aura_ros.common.errors import ConfigError
from aura_ros.tools.launch import ros_launch

HAS_LAUNCH_PYTEST = find_spec('launch_pytest') is not None and ros_launch.available()
_END_S = 20.0


@dataclass(frozen=True)
class Graph:
    """A launch file and its arguments."""

    file: Path
    arguments: Mapping[str, str] = field(default_factory=dict)


def launch_fixture(make: Callable[[], Graph]) -> Any:
    """Turn a function that returns a `Graph` into a fixture that runs the graph."""
    if HAS_LAUNCH_PYTEST:
        launch_pytest = import_module('launch_pytest')

        def describe() -> Any:
            graph = make()
            description = ros_launch.description(graph.file, graph.arguments)
            description.add_action(launch_pytest.actions.ReadyToTest())
            return description

        describe.__name__, describe.__doc__ = make.__name__, make.__doc__
        return launch_pytest.fixture(describe)

    def run() -> Iterator[None]:
        graph = make()
        with OwnLaunch(graph.file, graph.arguments):
            yield

    run.__name__, run.__doc__ = make.__name__, make.__doc__
    return pytest.fixture(run)


def launch_test(fixture: Any) -> pytest.MarkDecorator:
    """Return the mark for a test that runs beside the graph of a `launch_fixture`."""
    if HAS_LAUNCH_PYTEST:
        return pytest.mark.launch(fixture=fixture)
    return pytest.mark.usefixtures(fixture.__name__)


class OwnLaunch:
    """Runs `aura launch --force-own` on a file while it is entered, and ends it with SIGINT.

    Raises:
        ConfigError: on exit, if the process ended before or does not end now.
    """

    def __init__(self, file: Path, arguments: Mapping[str, str]) -> None:
        words = [f'{name}:={value}' for name, value in arguments.items()]
        self._command = [sys.executable, '-m', 'aura_ros.tools.launch', '--force-own', str(file), *words]

    def __enter__(self) -> subprocess.Popen[bytes]:
        self._process = subprocess.Popen(self._command)
        return self._process

    def __exit__(self, *error: object) -> None:
        if self._process.poll() is not None:
            raise ConfigError(f'{self._command} ended by itself with {self._process.returncode}')
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired as expired:
            self._process.kill()
            raise ConfigError(f'{self._command} did not end within {_END_S} s') from expired
