# SPDX-License-Identifier: Apache-2.0
"""The commands of README and docs: the fenced blocks of a page, and a folder in which they run as typed.

The first word after the fence is the language. For `sh`, more words say how the block runs:

    sh                     in every run of the tests; exit code 0
    sh slow                with --all
    sh until=TEXT          until its output contains TEXT; then Ctrl-C ends it
    sh background          until the end of the page; then Ctrl-C ends it. With until=TEXT the next block waits for it
    sh skip="a reason"     never
    sh ros2                where the command ros2 is installed
    sh node                the first line in the background until the end of the page, then the others
    sh interrupts          then Ctrl-C ends the newest command in the background
    sh with=COMMAND        beside a command in the background; also for `python`
"""

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / 'README.md', ROOT / 'CONTRIBUTING.md', *sorted((ROOT / 'docs').rglob('*.md')))
LANGUAGES = {'sh', 'python', 'yaml', 'text', 'json', 'cmake', 'xml'}
_END_S = 60.0
_ENDED = (0, 1, 130, -signal.SIGINT)
"""Exit codes after Ctrl-C; 1 is a cancelled goal. A shell that waits for its command dies of the signal itself."""


@dataclass(frozen=True)
class Block:
    """A fenced block."""

    page: Path
    line: int
    """Of the fence, from 1."""
    language: str
    options: Mapping[str, str]
    """Words after the language; without `=`, the value is empty."""
    text: str

    @property
    def place(self) -> str:
        """Page and line."""
        return f'{self.page.relative_to(ROOT)}:{self.line}'

    @property
    def runs(self) -> bool:
        """Whether the block is a program that some run of the tests executes."""
        return (self.language == 'sh' or 'with' in self.options) and 'skip' not in self.options


def blocks(page: Path) -> list[Block]:
    """Return the fenced blocks of a page, in order."""
    found = []
    for token in MarkdownIt('commonmark').parse(page.read_text(encoding='utf-8')):
        if token.type == 'fence':
            language, *options = shlex.split(token.info) or ['']
            pairs = (word.partition('=') for word in options)
            assert token.map is not None
            found.append(
                Block(page, token.map[0] + 1, language, {key: value for key, _, value in pairs}, token.content)
            )
    return found


class Desk:
    """A new user's folder, in which the blocks of one page run one after the other.

    Args:
        folder: empty folder; HOME and the working folder of all commands. `./run` is the one of the repository.
        domain: ROS domain that only this page uses.
    """

    def __init__(self, folder: Path, domain: int) -> None:
        self.folder = folder
        runner = folder / 'run'
        runner.write_text(f'#!/bin/sh\nexec "{ROOT}/run" "$@"\n')
        runner.chmod(0o755)
        shutil.copytree(ROOT / 'config', folder / 'config')
        self._environment = {**os.environ, 'HOME': str(folder), 'ROS_DOMAIN_ID': str(domain), 'PYTHONUNBUFFERED': '1'}
        path = (ROOT, Path(__file__).parent, os.environ.get('PYTHONPATH', ''))
        self._environment['PYTHONPATH'] = os.pathsep.join(str(part) for part in path if str(part))
        self._behind: list[tuple[str, subprocess.Popen[bytes], Path]] = []
        self._count = 0

    def run(self, block: Block) -> None:
        """Run a block; fail with its output unless it ends as its options say."""
        if behind := block.options.get('with'):
            self.start(behind, ['bash', '-c', f'exec {behind}'])
        text = block.text
        if 'node' in block.options:
            node, text = text.split('\n', 1)
            self.start(f'{block.place}, first line', ['bash', '-c', node])
        if block.language == 'python':
            command = [sys.executable, '-c', text]
        else:
            command = ['bash', '-euo', 'pipefail', '-c', text]
        process, log = self.start(block.place, command)
        awaited = block.options.get('until', '')
        if awaited:
            self._await(lambda: awaited in log.read_text(errors='replace'), process, log, block.place)
        if 'background' in block.options:
            return
        self.forget(process)
        if awaited:
            _interrupt(process)
        else:
            process.wait()
            assert process.returncode == 0, f'{block.place}: exit code {process.returncode}\n{self.output(log)}'
        if 'interrupts' in block.options:
            self.end_newest()

    def forget(self, process: subprocess.Popen[bytes]) -> None:
        """Leave the end of a command to the caller."""
        self._behind = [each for each in self._behind if each[1] is not process]

    def close(self) -> None:
        """End what runs in the background with Ctrl-C, the newest first; fail if it had not begun well."""
        while self._behind:
            self.end_newest()

    def end_newest(self) -> None:
        """End the newest command in the background with Ctrl-C; fail if it had not begun well."""
        place, process, log = self._behind.pop()
        if process.poll() is None:
            _interrupt(process)
        assert process.returncode in _ENDED, f'{place}: exit code {process.returncode}\n{self.output(log)}'

    def output(self, log: Path) -> str:
        """Return the last output of a command and of all that runs beside it."""
        logs = [log, *(beside for _, _, beside in self._behind)]
        return '\n'.join(f'== {each.name}\n{each.read_text(errors="replace")[-4000:]}' for each in logs)

    def start(self, place: str, command: list[str]) -> tuple[subprocess.Popen[bytes], Path]:
        """Start a command; return its process and the file of its output. `close` ends it."""
        self._count += 1
        log = self.folder.parent / f'{self.folder.name}-{self._count}.log'
        with log.open('wb') as file:
            process = subprocess.Popen(
                command,
                cwd=self.folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,  # Ctrl-C reaches all processes of a command, as in a terminal
            )
        self._behind.append((place, process, log))
        return process, log

    def _await(self, done: Callable[[], bool], process: subprocess.Popen[bytes], log: Path, place: str) -> None:
        while not done():
            assert process.poll() is None, f'{place}: ended with {process.returncode}\n{self.output(log)}'
            time.sleep(0.1)


def _interrupt(process: subprocess.Popen[bytes]) -> None:
    os.killpg(process.pid, signal.SIGINT)
    try:
        process.wait(_END_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
