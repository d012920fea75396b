# SPDX-License-Identifier: Apache-2.0
"""The console that every program prints to."""

from rich.console import Console

PLAIN_WIDTH = 110
"""Width of the output where stdout is not a terminal [characters]."""


def make_console() -> Console:
    """Return a console on stdout; in a pipe or a file it has a fixed width, so that tables stay intact."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=PLAIN_WIDTH)


def minutes(seconds: float) -> str:
    """Return a rounded duration, such as '12 s' or '3 min'."""
    return f'{seconds:.0f} s' if seconds < 90 else f'{seconds / 60:.0f} min'
