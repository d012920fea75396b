# SPDX-License-Identifier: Apache-2.0
"""The processes of a soak: the graph in a process group of its own, and the memory and time that its nodes use."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import psutil

from aura_ros.client import GraphError

NODES = ('vla_node', 'memory_node', 'kv_baseline_node', 'policy_switch_node', 'sim_node')
_END_S = 10.0


class SoakProcesses:
    """Starts the graph when it is entered, and ends it when it is left.

    Args:
        arguments: words for `aura launch`.
        log: file for the output of all nodes.
    """

    def __init__(self, arguments: Sequence[str], log: Path) -> None:
        self._arguments, self.log = list(arguments), log
        self._launcher: subprocess.Popen[bytes]
        self._nodes: dict[str, psutil.Process] = {}
        self._began: dict[str, tuple[float, float]] = {}
        self.times_s: list[float] = []
        """Times of the samples [s, steady clock]."""
        self.resident_mb: dict[str, list[float]] = {name: [] for name in NODES}
        """Resident memory at these times, by node [MB]."""

    def __enter__(self) -> Self:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, '-m', 'aura_ros.tools.launch', *self._arguments]
        with self.log.open('wb') as log:
            self._launcher = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        return self

    def __exit__(self, *_: object) -> None:
        self._launcher.send_signal(signal.SIGINT)
        try:
            self._launcher.wait(_END_S)
        except subprocess.TimeoutExpired:
            os.killpg(self._launcher.pid, signal.SIGKILL)
            self._launcher.wait()

    def find(self) -> list[str]:
        """Look for the processes of the nodes, and return the names of those that are still missing.

        Raises:
            GraphError: the launch has ended.
        """
        if self._launcher.poll() is not None:
            raise GraphError(f'the graph ended with exit code {self._launcher.returncode}; see {self.log}')
        for process in psutil.Process(self._launcher.pid).children(recursive=True):
            words = ' '.join(process.cmdline())
            for name in NODES:
                if f'/{name} ' in words and name not in self._nodes:
                    self._nodes[name] = process
        return [name for name in NODES if name not in self._nodes]

    def begin(self) -> None:
        """Start the measurement of processor time."""
        self._began = {name: (time.monotonic(), _cpu_s(process)) for name, process in self._nodes.items()}

    def sample(self) -> None:
        """Record the memory of every node.

        Raises:
            GraphError: a node has ended.
        """
        try:
            found = {name: process.memory_info().rss * 1e-6 for name, process in self._nodes.items()}
        except psutil.NoSuchProcess as error:
            name = next(name for name, process in self._nodes.items() if process.pid == error.pid)
            raise GraphError(f'{name} has ended; see {self.log}') from error
        self.times_s.append(time.monotonic())
        for name, value in found.items():
            self.resident_mb[name].append(value)

    def cpu(self) -> Mapping[str, float]:
        """Return the mean share of one core since `begin`, for the nodes that still run [1]."""
        return {
            name: (_cpu_s(process) - self._began[name][1]) / max(1e-9, time.monotonic() - self._began[name][0])
            for name, process in self._nodes.items()
            if name in self._began and process.is_running()
        }


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
