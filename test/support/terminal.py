# SPDX-License-Identifier: Apache-2.0
"""A pseudo-terminal with an interactive bash, which a test can close as a closed window or a lost ssh session does."""

import fcntl
import os
import pty
import select
import subprocess
import termios
import threading
from collections.abc import Mapping

_COMMAND = ('bash', '--norc', '--noprofile', '-i')
_END_S = 30.0


class Terminal:
    """While entered, `command` is the session leader of a terminal, and its output is read."""

    def __init__(self, environment: Mapping[str, str], command: tuple[str, ...] = _COMMAND) -> None:
        self._environment, self._command = environment, command
        self.output = b''
        """What the terminal has shown so far."""

    def __enter__(self) -> 'Terminal':
        self._master, slave = pty.openpty()
        self._wake_reader, self._waker = os.pipe()
        self.process = subprocess.Popen(
            self._command,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=dict(self._environment),
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(slave)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        return self

    def type_line(self, line: str) -> None:
        """Type a line."""
        os.write(self._master, line.encode() + b'\n')

    def close(self) -> None:
        """Close the terminal. The kernel sends SIGHUP to the session leader and to the foreground processes."""
        if self._reader.is_alive():
            os.write(self._waker, b'.')  # a read in progress would keep the terminal open
            self._reader.join()
            for end in (self._master, self._wake_reader, self._waker):
                os.close(end)

    def _read(self) -> None:
        while self._wake_reader not in (ready := select.select([self._master, self._wake_reader], [], [])[0]):
            assert ready
            try:
                self.output += os.read(self._master, 65536)
            except OSError:  # no process has the terminal open
                select.select([self._wake_reader], [], [])
                return

    def __exit__(self, *_: object) -> None:
        self.close()
        try:
            self.process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
