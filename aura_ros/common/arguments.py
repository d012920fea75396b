# SPDX-License-Identifier: Apache-2.0
"""The command lines of all programs: help of at most 80 columns, one form of errors, and checks before a start.

Standard library only, so that a command line can be checked where nothing else is installed.
"""

import argparse
import difflib
import math
import re
import shutil
import sys
import textwrap
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import takewhile
from typing import Any, NoReturn

from aura_ros.common.errors import ConfigError

WRONG_USE = 2
"""Exit code: the command line, a parameter or a configuration file cannot be used."""
WIDTH = 80
"""Most columns of a help text."""
_TWO_COLUMNS = re.compile(r'(\s+\S.*?\s{2,})(\S.*)')
_NEAR = 0.7
"""Least similarity of a word that is suggested, 0..1."""
_SHORTEST_TEXT = 24
"""Columns that a description needs beside its term; with less it gets lines of its own."""

Check = Callable[[argparse.Namespace], None]
"""Looks at all arguments together, and raises ConfigError."""


class WrongArguments(ConfigError):
    """A command line that cannot be used. The text begins with the program, and names the option as it was typed."""


class HelpFormatter(argparse.HelpFormatter):
    """Help in at most WIDTH columns, with the default of every option that takes a value.

    Paragraphs are wrapped. An indented line stays as it is; if it is too long and has two columns, its second column is
    wrapped.
    """

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=min(WIDTH, shutil.get_terminal_size((WIDTH, 24)).columns))

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return '\n'.join(fill(text, width))

    def _split_lines(self, text: str, width: int) -> list[str]:
        # a list without spaces may be broken after its commas
        spaced = re.sub(r',(?=\S)', ',\0 ', ' '.join(text.split()))
        return [line.replace('\0 ', '').rstrip('\0') for line in _wrap(spaced, width)]

    def _get_help_string(self, action: argparse.Action) -> str | None:
        text = action.help or ''
        takes_value = action.option_strings and action.nargs != 0 and not action.required
        if not takes_value or 'default' in text or action.default in (None, argparse.SUPPRESS, '', [], ()):
            return text
        return f'{text} (default: %(default)s)'


def fill(text: str, width: int) -> Iterator[str]:
    """Yield the lines of a help text with its paragraphs and its two-column lists wrapped."""
    for kind, block in _blocks(text.strip('\n').split('\n')):
        columns = _TWO_COLUMNS.fullmatch(block[0])
        if kind == 'paragraph':
            yield from _wrap(' '.join(block), width)
        elif columns is None or max(map(len, block)) <= width:
            yield from block
        else:
            text = ' '.join((columns[2], *map(str.strip, block[1:])))
            if (place := len(columns[1])) <= width - _SHORTEST_TEXT:
                yield from _wrap(text, width, columns[1], ' ' * place)
            else:
                indent = ' ' * (_indent(block[0]) + 4)
                yield columns[1].rstrip()
                yield from _wrap(text, width, indent, indent)


def _blocks(lines: Iterable[str]) -> Iterator[tuple[str, list[str]]]:
    """Yield the paragraphs, and the indented or empty lines, each with the lines that continue its second column."""
    kind, block, place = '', [], 0
    for line in lines:
        follows = kind == 'paragraph' if line and not _indent(line) else kind == 'list' and _indent(line) == place > 0
        if follows:
            block.append(line)
            continue
        if block:
            yield kind, block
        columns = _TWO_COLUMNS.fullmatch(line)
        kind, place = 'paragraph' if line and not _indent(line) else 'list', len(columns[1]) if columns else 0
        block = [line.rstrip()]
    yield kind, block


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _wrap(text: str, width: int, first: str = '', following: str = '') -> list[str]:
    return textwrap.wrap(
        text, width, initial_indent=first, subsequent_indent=following, break_long_words=False, break_on_hyphens=False
    )


class Parser(argparse.ArgumentParser):
    """A parser whose errors are WrongArguments, with the option as it was typed and the nearest right word."""

    only_check = False
    """Whether the process ends after valid arguments, with exit code 0; see `check_only`."""
    check: Check | None = None

    def __init__(self, *args: Any, **options: Any) -> None:
        options.setdefault('formatter_class', HelpFormatter)
        super().__init__(*args, **options)

    def parse_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:  # type: ignore[override]
        """Return the arguments, checked one by one and together.

        Raises:
            WrongArguments: one of them is wrong, or they do not fit together.
        """
        self._check_options(sys.argv[1:] if args is None else args)
        return self._checked(*self.parse_known_args(args, namespace))

    def parse_intermixed_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:  # type: ignore[override]
        """Return the arguments as `parse_args` does; positional ones may stand between options."""
        self._check_options(sys.argv[1:] if args is None else args)
        return self._checked(*self.parse_known_intermixed_args(args, namespace))

    def _check_options(self, words: Sequence[str]) -> None:
        """Report an unknown option before argparse reports its value as a wrong argument."""
        known = list(self._options())
        for word in takewhile(lambda word: word != '--', words):
            option = word.partition('=')[0]
            if option.startswith('--') and not any(name.startswith(option) for name in known):
                self.error(f'there is no option {option}{near(option, known)}')

    def _checked(self, options: argparse.Namespace, unknown: list[str]) -> argparse.Namespace:
        if unknown:
            self.error(f'unexpected argument {unknown[0]!r}')
        if self.check is not None:
            try:
                self.check(options)
            except ConfigError as error:
                self.error(str(error))
        if Parser.only_check:
            sys.exit(0)
        return options

    def _options(self) -> Iterator[str]:
        """Yield the options of this parser and of its commands."""
        for action in self._actions:
            yield from action.option_strings
            if isinstance(action, argparse._SubParsersAction):
                for command in action.choices.values():
                    yield from command._options()

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            raise argparse.ArgumentError(action, wrong_name(str(value), map(str, action.choices)))

    def error(self, message: str) -> NoReturn:
        """Raise WrongArguments with one line of text."""
        text = message.removeprefix('argument ')
        stop = '' if text.endswith('?') else '.'
        raise WrongArguments(f'{self.prog}: {text}{stop} See {self.prog} --help.')


def make_parser(name: str, description: str | None, epilog: str | None = None, check: Check | None = None) -> Parser:
    """Return the parser of a program.

    Args:
        name: program as the user calls it, for instance 'aura replay'.
        description: first text of the help.
        epilog: last text of the help, with examples.
        check: looks at all arguments together.
    """
    parser = Parser(name, description=description, epilog=epilog)
    parser.check = check
    return parser


def check_only() -> None:
    """Make every parser of this process end it after valid arguments, before the program starts anything."""
    Parser.only_check = True


def near(word: str, known: Iterable[str]) -> str:
    """Return ', did you mean ...?' with the known word that is nearest, or '' if none is near."""
    found = difflib.get_close_matches(word, list(known), n=1, cutoff=_NEAR)
    return f', did you mean {found[0]}?' if found else ''


def wrong_name(word: str, known: Iterable[str]) -> str:
    """Return the error for a word that is none of the known ones."""
    names = list(known)
    hint = near(word, names)
    return f'there is no {word!r}{f"{hint} Choose" if hint else "; choose"} from {", ".join(names)}'


def names_of(allowed: Collection[str]) -> Callable[[str], tuple[str, ...]]:
    """Return a converter of names with commas between them, each once, all of them allowed."""

    def convert(text: str) -> tuple[str, ...]:
        found = tuple(filter(None, (word.strip() for word in text.split(','))))
        for word in found:
            if word not in allowed:
                raise argparse.ArgumentTypeError(wrong_name(word, allowed))
            if found.count(word) > 1:
                raise argparse.ArgumentTypeError(f'{word!r} is given twice; give each name once')
        if not found:
            raise argparse.ArgumentTypeError(f'no name is given; choose from {", ".join(allowed)}')
        return found

    return convert


def number_in(low: float, high: float) -> Callable[[str], float]:
    """Return a converter of a number from `low` to `high`."""

    def convert(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not low <= value <= high:
            limits = f'a number from {low:g} to {high:g}' if high < math.inf else f'a number >= {low:g}'
            raise argparse.ArgumentTypeError(f'{text!r}: must be {limits}')
        return value

    return convert


def integer_in(low: int, high: int) -> Callable[[str], int]:
    """Return a converter of an integer from `low` to `high`."""

    def convert(text: str) -> int:
        if not re.fullmatch(r'-?\d{1,18}', text, re.ASCII) or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f'{text!r}: must be an integer from {low} to {high}')
        return int(text)

    return convert


def positive_integer(text: str) -> int:
    """Convert an argument for argparse."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f'{text!r}: must be an integer >= 1')
    return int(text)
