# SPDX-License-Identifier: Apache-2.0
"""The last words of a launch: what a process prints after the shutdown of all processes, without the prefix of a log.

`aura launch` gives its processes a file, in an environment variable with the width of its terminal. What they write
there, it prints at its end. A process without the variable, as under `ros2 launch`, prints to its own stdout.
"""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from rich.console import Console

from aura_ros.common.console import console_on, make_console

VARIABLE = 'AURA_CLOSING'
"""WIDTH:FILE; the width is 0 if the output of the launch is no terminal."""


@contextmanager
def closing_text() -> Iterator[None]:
    """Give the processes that start meanwhile a place for their last words, and print these at the end.

    A launch runs also without this place: with a full disk, or if the file is removed in the meantime.
    """
    try:
        handle, name = tempfile.mkstemp(prefix='aura-closing-')
    except OSError:
        yield
        return
    os.close(handle)
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 0
    os.environ[VARIABLE] = f'{width}:{name}'
    try:
        yield
    finally:
        del os.environ[VARIABLE]
        with suppress(OSError):  # also that of a closed output, which must not change the exit code
            _print(Path(name).read_bytes())
        Path(name).unlink(missing_ok=True)


def _print(text: bytes) -> None:
    """Print without the buffer of stdout, which Python would flush again at exit."""
    sys.stdout.flush()
    with open(sys.stdout.fileno(), 'wb', buffering=0, closefd=False) as output:
        while text:
            text = text[output.write(text) :]


@contextmanager
def closing_console(environment: Mapping[str, str] = os.environ) -> Iterator[Console]:
    """Yield the console for last words: the file of the launch if there is one, else stdout."""
    width, _, name = environment.get(VARIABLE, '').partition(':')
    if not name or not width.isdecimal():
        yield make_console()
        return
    with Path(name).open('a', encoding='utf-8') as file:
        yield console_on(file, int(width))
