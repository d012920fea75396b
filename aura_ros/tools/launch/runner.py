# SPDX-License-Identifier: Apache-2.0
"""Run a plan with the semantics of ROS launch: on_exit, respawn, SIGINT then SIGTERM then SIGKILL.

All stop requests within ONE_STOP_S are one stop, and a closed terminal or output never shortens it: a node needs the
time to commit its state and to command its last hold.

The runner uses honcho's process (own session, one pipe for all output), messages and coloured printer, but not its
Manager. The Manager ends everything when any process ends, never sends SIGINT, and starts commands through a shell.
circus and supervisor are daemons with their own configuration.
"""

import errno
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from datetime import datetime
from io import StringIO
from pathlib import Path
from typing import Any

from honcho.colour import get_colours
from honcho.printer import Message, Printer
from honcho.process import Popen

from aura_ros.common.errors import ConfigError
from aura_ros.common.program import stop_signals
from aura_ros.tools.launch.plan import NodeProcess, Plan

_DRAIN_S = 0.5
"""Longest wait for the last lines of a process that has ended [s]."""
_SHORT_LIFE_S = 10.0
_LONGEST_DELAY_S = 30.0
"""Longest delay before a restart, unless the launch file asks for more [s]."""
_MOST_DOUBLINGS = 10
ONE_STOP_S = 3.0
"""Time after the first stop signal in which repeated signals have no effect [s]."""
_NAME = 'aura launch'


@dataclass
class _Running:
    node: NodeProcess
    colour: str
    child: subprocess.Popen[bytes] | None = None
    respawn_at: float | None = None
    started_at: float = 0.0
    short_lives: int = 0
    """Number of consecutive lives shorter than _SHORT_LIFE_S."""
    files: list[str] = field(default_factory=list)


class Runner:
    """Starts all nodes of a plan, shows their output, and ends them together."""

    def __init__(self, plan: Plan, printer: Printer | None = None) -> None:
        self._plan = plan
        self._events: queue.SimpleQueue[Message] = queue.SimpleQueue()  # put() is safe in a signal handler
        self._printer = printer or Printer(sys.stdout)
        colours = get_colours()
        self._running = [_Running(node, next(colours)) for node in plan.nodes]
        self._printer.width = max([len(node.label) for node in plan.nodes] + [len(_NAME)])
        self._code: int | None = None
        self._failed = False
        self._asked_at: float | None = None  # time of the first stop signal (monotonic, s)
        self._steps: list[tuple[float, signal.Signals]] = []  # shutdown: time (monotonic, s) and signal

    def run(self) -> int:
        """Run until every process has ended.

        Returns:
            The exit code of the first node with `on_exit: shutdown` that ended; 128 + number after a signal;
            otherwise 1 if a node failed, else 0.
        """
        signals = stop_signals()
        for number in signals:
            signal.signal(number, self._on_signal)
        try:
            for item in self._running:
                self._start(item)
            while any(item.child is not None or item.respawn_at is not None for item in self._running):
                self._step()
        finally:
            # After an unexpected error the guard ends the nodes in steps, as after the death of the launcher.
            for item in self._running:
                self._remove_files(item)
            for number in signals:
                # A late signal must not interrupt the guard.
                signal.signal(number, signal.SIG_IGN)
        return int(self._failed) if self._code is None else self._code

    def _on_signal(self, number: int, frame: object) -> None:
        self._put('signal', (signal.Signals(number), time.monotonic()))

    def _put(self, kind: str, data: Any, item: _Running | None = None) -> None:
        name, colour = (item.node.label, item.colour) if item else (_NAME, None)
        self._events.put(Message(kind, data, datetime.now(), name, colour))

    def _say(self, text: str) -> None:
        self._show(Message('line', text, datetime.now(), _NAME, None))

    def _show(self, message: Message) -> None:
        try:
            self._printer.write(message)
        except BrokenPipeError:  # the reader has gone, as after `| head`
            self._drop_output()
            self._shutdown(128 + signal.SIGPIPE)
        except OSError as error:
            # A closed terminal; its SIGHUP ends the launch. Any other fault, such as a full disk, only costs lines.
            if error.errno == errno.EIO:
                self._drop_output()

    def _drop_output(self) -> None:
        self._printer.output = StringIO()
        # Python flushes stdout at exit; a failure there would change the exit code.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    def _start(self, item: _Running) -> None:
        item.respawn_at = None
        item.started_at = time.monotonic()
        self._remove_files(item)
        environment = {**os.environ, **item.node.environment}
        try:
            command, item.files = item.node.command()
            item.child = Popen(command, env=environment, shell=False, stdin=subprocess.DEVNULL)
        except (ConfigError, OSError) as error:
            self._say(f'{item.node.label} cannot be started: {error}')
            self._ended(item, 127)
            return
        self._say(f'{item.node.label} started, pid {item.child.pid}')
        threading.Thread(target=self._watch, args=(item, item.child), daemon=True).start()

    def _watch(self, item: _Running, child: subprocess.Popen[bytes]) -> None:
        # The end of the output is no sign of the end: a child of the node may keep the pipe open.
        reader = threading.Thread(target=self._relay, args=(item, child), daemon=True)
        reader.start()
        code = child.wait()
        reader.join(_DRAIN_S)
        self._put('stop', code, item)

    def _relay(self, item: _Running, child: subprocess.Popen[bytes]) -> None:
        assert child.stdout is not None
        for line in child.stdout:
            self._put('line', line, item)

    def _step(self) -> None:
        try:
            event = self._events.get(timeout=self._wait_s())
        except queue.Empty:
            self._on_time()
            return
        if event.type == 'line':
            self._show(event)
        elif event.type == 'signal':
            self._stop_asked(*event.data)
        else:
            (item,) = [item for item in self._running if item.node.label == event.name]
            self._ended(item, event.data)

    def _wait_s(self) -> float | None:
        due = [when for when, _ in self._steps[:1]]
        due += [item.respawn_at for item in self._running if item.respawn_at is not None]
        return max(0.0, min(due) - time.monotonic()) if due else None

    def _on_time(self) -> None:
        now = time.monotonic()
        while self._steps and self._steps[0][0] <= now:
            _, number = self._steps.pop(0)
            self._signal_all(number, loud=True)
        for item in self._running:
            if item.respawn_at is not None and item.respawn_at <= now:
                self._start(item)

    def _ended(self, item: _Running, code: int) -> None:
        item.child = None
        self._say(f'{item.node.label} ended, exit code {code}')
        stopping = self._code is not None
        if stopping:
            return
        self._failed = self._failed or code != 0
        if item.node.shutdown_on_exit:
            self._shutdown(code if code >= 0 else 128 - code)
        elif item.node.respawn:
            now = time.monotonic()
            # Back off: a node that always ends at once has a fault that a restart does not cure.
            item.short_lives = item.short_lives + 1 if now - item.started_at < _SHORT_LIFE_S else 0
            delay_s = item.node.respawn_delay_s * 2.0 ** min(_MOST_DOUBLINGS, max(0, item.short_lives - 1))
            item.respawn_at = now + min(delay_s, max(_LONGEST_DELAY_S, item.node.respawn_delay_s))

    def _stop_asked(self, number: signal.Signals, at: float) -> None:
        """Begin the stop at the first signal; kill at one that a person repeats after ONE_STOP_S."""
        if self._asked_at is None:
            self._asked_at = at
            self._say(f'{number.name} received, ending all nodes')
            self._shutdown(128 + number)
        elif number == signal.SIGHUP or at - self._asked_at < ONE_STOP_S:
            self._say(
                f'{number.name} received, the nodes are ending; Ctrl-C kills them {ONE_STOP_S:g} s after the first'
            )
        else:
            self._steps = []
            self._signal_all(signal.SIGKILL, loud=True)

    def _shutdown(self, code: int) -> None:
        if self._code is not None:
            return
        self._code = code
        for item in self._running:
            item.respawn_at = None
        self._signal_all(signal.SIGINT)
        terminate_at = time.monotonic() + self._plan.sigterm_timeout_s
        kill_at = terminate_at + self._plan.sigkill_timeout_s
        self._steps = [(terminate_at, signal.SIGTERM), (kill_at, signal.SIGKILL)]

    def _signal_all(self, number: signal.Signals, loud: bool = False) -> None:
        for item in self._running:
            if item.child is not None:
                if loud:
                    self._say(f'{item.node.label} has not ended, sending {number.name}')
                self._signal(item, number)

    @staticmethod
    def _signal(item: _Running, number: signal.Signals) -> None:
        if item.child is not None:
            try:
                os.killpg(item.child.pid, number)  # the child leads its session, so the group has the same id
            except ProcessLookupError:
                return  # the process has ended; its event is still in the queue

    @staticmethod
    def _remove_files(item: _Running) -> None:
        for path in item.files:
            Path(path).unlink(missing_ok=True)
        item.files = []
