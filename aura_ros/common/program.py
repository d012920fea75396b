# SPDX-License-Identifier: Apache-2.0
"""The frame of every command-line program: one way to report an error, one set of exit codes."""

import functools
import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import ParamSpec

from aura_ros.common.arguments import WRONG_USE, WrongArguments
from aura_ros.common.errors import AuraError, ConfigError
from aura_ros.common.text import cut, printable_lines

FAILED = 1
"""Exit code: the program was asked correctly and failed."""
INTERRUPTED = 130
"""Exit code after Ctrl-C: 128 + SIGINT."""
_LONGEST = 4000
"""Characters of an error that are printed; it may quote text from a file or a message."""

HIDES_INTERRUPT = (RuntimeError, SystemError, TypeError)
"""Errors by which C++ that calls Python, as rclpy for each field of a message, can replace a KeyboardInterrupt."""

EXTRAS = {
    'av': 'replay',
    'jinja2': 'replay',
    'mcap': 'replay',
    'pyarrow': 'replay',
    'rosbags': 'replay',
    'matplotlib': 'sim',
    'mujoco': 'sim',
    'PyQt5': 'monitor',
    'pyqtgraph': 'monitor',
    'msgpack': 'remote',
    'websockets': 'remote',
    'lxml': 'robot',
    'urdf_parser_py': 'robot',
    'onnx': 'train',
    'torch': 'train',
    'gymnasium': 'popgym',
    'popgym': 'popgym',
}
"""Optional packages and the extra of pyproject.toml that installs each of them."""

LAUNCH_MARK = 'AURA_LAUNCH_ID'
"""Environment variable that `aura launch` sets for its processes: `PID-ID`, with the process id of the launcher."""

_P = ParamSpec('_P')
_stopped = threading.Event()


def program(
    name: str, *, interrupted: str = '', wrong_use: tuple[type[Exception], ...] = (ConfigError,)
) -> Callable[[Callable[_P, int]], Callable[_P, int]]:
    """Decorate a `main` so that it always returns an exit code: 0, FAILED, WRONG_USE or INTERRUPTED.

    An expected error becomes one line on stderr that begins with `name`. A missing optional package is reported with
    the command that installs it. A closed pipe, as in `aura state inspect FILE | head`, ends the program silently.
    Unexpected exceptions are bugs and keep their traceback.

    Args:
        name: program as the user calls it, for instance 'aura replay'.
        interrupted: text to print after Ctrl-C; empty prints nothing.
        wrong_use: errors that mean WRONG_USE; every other AuraError and OSError means FAILED.
    """

    def stopped() -> int:
        if interrupted:
            _report(name, interrupted)
        return INTERRUPTED

    def decorate(main: Callable[_P, int]) -> Callable[_P, int]:
        @functools.wraps(main)
        def wrapped(*args: _P.args, **kwargs: _P.kwargs) -> int:
            try:
                code = main(*args, **kwargs)
                sys.stdout.flush()
                return code
            except KeyboardInterrupt:
                return stopped()
            except HIDES_INTERRUPT as error:
                if not isinstance(error.__cause__, KeyboardInterrupt):
                    raise
                return stopped()
            except BrokenPipeError:
                # Python flushes stdout again at exit; that flush has to go somewhere.
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                return 0
            except WrongArguments as error:
                print(printable_lines(str(error)), file=sys.stderr)
                return WRONG_USE
            except (AuraError, OSError) as error:
                _report(name, _text(error))
                return WRONG_USE if isinstance(error, wrong_use) else FAILED
            except ImportError as error:
                _report(name, missing_package(error))
                return FAILED

        return wrapped

    return decorate


def stop_signals() -> tuple[signal.Signals, ...]:
    """Return the signals that ask a program to stop: SIGINT, SIGTERM, and SIGHUP of a closed terminal.

    SIGINT counts even if it is ignored, as in a program that a shell without job control starts in the background.
    SIGHUP does not count if it is ignored, because `nohup` asks for that.
    """
    asked = (signal.SIGINT, signal.SIGTERM)
    return asked if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN else (*asked, signal.SIGHUP)


def end_on_signals() -> None:
    """Make every stop signal raise KeyboardInterrupt, so that a program can clean up and report.

    A closed terminal sends SIGHUP more than once, from the kernel and from the shell. Only the first one counts.
    """

    def stop(number: int, frame: FrameType | None) -> None:
        _stopped.set()
        if number == signal.SIGHUP:
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    for number in stop_signals():
        signal.signal(number, stop)


def stop_requested() -> bool:
    """Return whether a stop signal has arrived since `end_on_signals`."""
    return _stopped.is_set()


def _report(name: str, text: str) -> None:
    print(f'{name}: {printable_lines(cut(text, _LONGEST))}', file=sys.stderr)


def _text(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f'{error.filename}: {error.strerror}' if error.filename else error.strerror
    return str(error)


def missing_package(error: ImportError) -> str:
    """Return the fix for a missing optional package; raise `error` again for any other module."""
    package = (error.name or '').partition('.')[0]
    if package == 'rclpy':
        return 'needs ROS 2 (rclpy): source a ROS 2 workspace, or pip install aura_ros'
    if package not in EXTRAS:
        raise error
    return f'needs {package}: pip install "aura_ros[{EXTRAS[package]}]"'
