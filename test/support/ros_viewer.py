# SPDX-License-Identifier: Apache-2.0
"""`aura topics` as a process on the graph of a test.

A conftest.py imports the fixture with `from ros_viewer import view`, in addition to `graph`.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

TIMEOUT_S = 90.0  # a loaded machine starts Python slowly


class Viewer:
    """One `aura topics` process."""

    def __init__(self, graph: Any, folder: Path, *arguments: str) -> None:
        self._graph = graph
        self._out, self._err = folder / 'out', folder / 'err'
        root = Path(__file__).parents[2]
        code = 'import sys; from aura_ros.tools.topics.main import main; sys.exit(main())'
        path = os.pathsep.join(filter(None, [str(root), os.environ.get('PYTHONPATH')]))
        environment = dict(os.environ, ROS_DOMAIN_ID=str(graph.domain), PYTHONPATH=path)
        with self._out.open('w') as out, self._err.open('w') as err:
            self.process = subprocess.Popen(
                [sys.executable, '-c', code, *arguments], env=environment, stdout=out, stderr=err
            )

    @property
    def out(self) -> str:
        return self._out.read_text()

    @property
    def err(self) -> str:
        return self._err.read_text()

    def until(self, done: Callable[[], Any], tick: Callable[[], None] = lambda: None) -> Any:
        """Call `tick`, which may publish, 20 times a second until `done` returns a true value; return that."""
        end = time.monotonic() + TIMEOUT_S
        while not (result := done()):
            assert time.monotonic() < end, f'timed out\n{self.out}\n{self.err}'
            tick()
            self._graph.spin(0.05)
        return result

    def ended(self, tick: Callable[[], None] = lambda: None) -> int:
        """Wait for the end of the process and return its exit status."""
        self.until(lambda: self.process.poll() is not None, tick)
        return self.process.returncode

    def finish(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


@pytest.fixture
def view(graph: Any, tmp_path: Path) -> Iterator[Callable[..., Viewer]]:
    """Return a function that starts viewers on the domain of the graph."""
    viewers: list[Viewer] = []

    def start(*arguments: str) -> Viewer:
        folder = tmp_path / f'viewer-{len(viewers)}'
        folder.mkdir()
        viewers.append(Viewer(graph, folder, *arguments))
        return viewers[-1]

    yield start
    for viewer in viewers:
        viewer.finish()
