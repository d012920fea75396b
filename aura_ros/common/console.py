# SPDX-License-Identifier: Apache-2.0
"""The console that every program prints to."""

from typing import Any, TextIO

from rich.console import Console

from aura_ros.common.text import printable_lines

PLAIN_WIDTH = 10_000
"""Width of the output where stdout is not a terminal [characters]: no line of a file or a pipe is wrapped."""


class _SafeConsole(Console):
    """A console that escapes control characters, because names in recordings and messages come from outside."""

    def print(self, *objects: Any, **options: Any) -> None:
        """Print as rich does, with each text escaped."""
        super().print(*(printable_lines(one) if isinstance(one, str) else one for one in objects), **options)


def make_console() -> Console:
    """Return a console on stdout; in a pipe or a file no line is wrapped."""
    console = _SafeConsole(highlight=False)
    return console if console.is_terminal else _SafeConsole(highlight=False, width=PLAIN_WIDTH)


def console_on(file: TextIO, width: int) -> Console:
    """Return a console for a terminal of this width, or for a file if the width is 0."""
    if not width:
        return _SafeConsole(file=file, highlight=False, width=PLAIN_WIDTH)
    return _SafeConsole(file=file, highlight=False, width=width, force_terminal=True)


def minutes(seconds: float) -> str:
    """Return a rounded duration, such as '12 s' or '3 min'."""
    return f'{seconds:.0f} s' if seconds < 90 else f'{seconds / 60:.0f} min'
