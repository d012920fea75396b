# SPDX-License-Identifier: Apache-2.0
"""pytest plugin: the fault matrix, with the promise of each fault and what the tests measured.

A test names its fault with a marker, and reports its figures with a fixture::

    @pytest.mark.fault('F2')
    def test_any_damage_is_found(measured):
        ...
        measured('65,536 damaged files: 0 crashes, 0 wrong states')

The promise is what the test asserts. At the end of a run with such tests a table of all faults is printed;
`--fault-report PATH` writes it too: as Markdown where PATH ends in .md, for docs/reliability.md, else as JSON. The
properties of the reports carry all of this, so the table is the same with the workers of pytest-xdist.
"""

import json
import os
import platform
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path

import pytest
from _pytest.terminal import TerminalReporter  # older pytest has no public name for it
from rich.console import Console
from rich.table import Table

FAIL, PASS, NOT_RUN = 'FAIL', 'pass', 'not run'
_MARKER = 'fault(*numbers): the faults F1, F2, ... that a test injects; its promise is what the test asserts'


@dataclass(frozen=True)
class Fault:
    """One row of the matrix."""

    what: str
    """The fault that is injected."""
    promise: str
    """What the package guarantees despite the fault."""


FAULTS = {
    'F1': Fault(
        'memory node killed (-9) at random instants',
        'no event reported as DURABLE is lost; restored seq >= last durable; restored within 1 s; '
        'the robot holds meanwhile',
    ),
    'F2': Fault(
        'state file cut or flipped at any byte of either slot',
        'restores the previous valid state or refuses with the reason; no crash, no invalid state',
    ),
    'F3': Fault('power cut: unsynced pages are lost', 'as F2'),
    'F4': Fault(
        'disk full, read-only, permission lost, EIO on sync',
        'continues in RAM; ERROR within 1 s; durability is RAM; recovers automatically; a failed sync never loses '
        'the last valid slot',
    ),
    'F5': Fault(
        'NaN or Inf in joints, features, gate or action; black image',
        'no change of the state or its file, not even in a new episode; nothing published; counted; WARN',
    ),
    'F6': Fault(
        'image with wrong encoding, padding, shape, byte order or no data',
        'decoded correctly or rejected; no crash; one log line per change',
    ),
    'F7': Fault(
        'stamps that are repeated, out of order, late, in the future or zero',
        'the memory uses a stamp at most once; each reason is counted',
    ),
    'F8': Fault(
        'simulated clock jumps back or forward, or stops; bag loops',
        'behaves as documented for each; the watchdog still fires, because it runs on the steady clock',
    ),
    'F9': Fault(
        'input at 10 times its rate',
        'resident memory grows by less than 10 MB; commands keep their rate within 5 %; drops are counted',
    ),
    'F10': Fault(
        'publisher and subscriber with incompatible QoS',
        'reported in the diagnostics within 1 s, with topic and QoS policy',
    ),
    'F11': Fault(
        'backbone raises, hangs, returns a wrong shape or runs out of memory',
        'holds within 2 control periods; no command is older than max_age_s; retries with growing pauses; '
        'ERROR after N failures',
    ),
    'F12': Fault(
        'policy switched mid-chunk under load',
        'no command of the old policy after the acknowledgement; both policies keep their states; no delta is applied '
        'twice or made up for',
    ),
    'F13': Fault(
        'VLA, baseline or monitor killed',
        'the memory node continues; the loss is reported within 1 s; a restarted node is used again',
    ),
    'F14': Fault('two memory nodes, one state file', 'the second does not configure, and reports the reason'),
    'F15': Fault(
        'state of another memory, version or episode',
        'refused with the reason; a fresh start only with allow_fresh_start; on_new_episode '
        'keeps or resets a state of another episode, and this is reported',
    ),
    'F16': Fault('the same steps are processed twice', 'write events and the final CRC-32 are identical'),
    'F17': Fault(
        'instruction changed during an episode',
        'the pending chunk is dropped; on_new_episode keeps or resets the memory',
    ),
    'F18': Fault('SIGINT or SIGTERM during a write', 'exits cleanly within 3 s; the last state is durable'),
    'F19': Fault(
        'replay, panel or simulator started beside a robot',
        'refuses to start and names the topic and the node; a running player ends and cancels its episode; the robot '
        'does not move; replay.launch.yaml has a ROS domain and a namespace of its own',
    ),
    'F20': Fault(
        'a second policy switch, or another publisher, on the command topic',
        'every active switch holds the robot and reports ERROR, by name of the other one, until one of them is gone '
        'or inactive',
    ),
    'F21': Fault(
        'oversized and cut messages to any node (joint_states of 20,000 names), a busy executor',
        'refused before it is converted, and counted; holds within 2 control periods, whatever the executor does',
    ),
    'F22': Fault(
        'control periods at any time: bursts 1 ms apart, pauses, jumps of the ROS clock',
        'no command, a hold included, exceeds a position, step or velocity limit over the elapsed steady time',
    ),
    'F23': Fault(
        'repeated Ctrl-C, closed terminal or output, killed launcher',
        'stop requests within 3 s are one stop, and SIGHUP never shortens it: the queued state is committed, '
        'the last hold is commanded and its status arrives; no process remains',
    ),
    'F24': Fault(
        'the client that started an episode is killed or leaves',
        'the episode ends with the reason operator_lease_s after the middleware reports it, and the robot holds; '
        'clients that join later or only watch have no influence',
    ),
    'F25': Fault(
        'policy switch killed, or memories that refuse every step, during run_episode',
        'the episode is no success, and its reason and that of the status state the present cause',
    ),
    'F26': Fault(
        'chunks and steps of a second publisher, to the switch or a memory, with the running or another episode',
        'the running episode continues; foreign chunks are refused, counted and reported; a restarted node takes over',
    ),
    'F27': Fault(
        'commands reach a JointTrajectoryController later than one control period, or from another clock',
        'none is refused: outside lock-step the stamp is zero, "start now"; in lock-step it is that of the tick',
    ),
    'F28': Fault(
        'steps of an earlier time (a replay, a late publisher) reach a memory in use',
        'refused and counted by age, by a stamp ahead of the clock, and by a stamp that is not later than the last one '
        'applied, also after a restart; memory and file unchanged; the live episode goes on',
    ),
    'F29': Fault(
        'the last commit before the end fails',
        'the last line of the log states that the newest state is not on the storage; "durable again" follows only '
        'a commit that succeeded',
    ),
    'F30': Fault(
        'state file zeroed, emptied or overwritten, also while in use',
        'a loss is refused with the reason and is never a silent fresh start; a state of another program is never '
        'overwritten, and no write is DURABLE meanwhile; damage while in use is repaired; older files are restored',
    ),
    'F31': Fault(
        'weights whose arrays do not fit, a card that is no card, a memory that raises, a step number of 2^63',
        'weights are refused when they are loaded, with the array and its shape; any exception of a step is rejected, '
        'counted and diagnosed; the node and its durability go on',
    ),
    'F32': Fault(
        'another local user locks the state file, or plants a link at a name that the node writes',
        'only the owner can read and write the file (0600); a reader cannot block the node with a lock; links are '
        'neither followed nor kept',
    ),
    'F33': Fault(
        'file or image from elsewhere that unpacks, repeats or refers without limit',
        'refused with the limit that it exceeds, before memory, disk or time are spent; nothing outside the file or '
        'its folder is read; no temporary file stays',
    ),
    'F34': Fault(
        'files that are no cards, YAML, datasets or text; control characters, markup or a very long text',
        'one sentence with file and field, the traceback in the debug log; text is shown cut, escaped and on one line: '
        'in the monitor, in `aura topics`, in `aura replay` and in error messages',
    ),
    'F35': Fault(
        'launch file that names a path as `exec`, or that has the name of a launch file of the package',
        'only executables in lib/ of an installed package start; a name that means two files is refused, with both',
    ),
    'F36': Fault(
        'monitor: middleware that never returns, integers up to 2^64 - 1, stamps of another time, damaged messages',
        'the window closes and the process ends at most 5 s later; no value ends the monitor; a stamp far from the '
        'present time changes nothing and is counted',
    ),
}


@dataclass
class _Run:
    """The result of one test. The worst of its phases counts."""

    outcome: str = 'passed'
    seconds: float = 0.0
    measured: list[str] = field(default_factory=list)


class FaultMatrix:
    """Collects the outcomes of fault tests by fault and test."""

    def __init__(self) -> None:
        self.runs: dict[str, dict[str, _Run]] = {number: {} for number in FAULTS}
        self._places: dict[str, int] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Record one phase of one test under its faults."""
        properties = report.user_properties
        for number in [value for key, value in properties if key == 'fault']:
            run = self.runs[str(number)].setdefault(report.nodeid, _Run())
            run.seconds += report.duration
            run.measured = [str(value) for key, value in properties if key == 'measured']
            self._places[report.nodeid] = next(int(str(value)) for key, value in properties if key == 'place')
            if run.outcome == 'passed':
                run.outcome = report.outcome

    def in_order(self, number: str) -> list[tuple[str, _Run]]:
        """Return the tests of a row in the order of collection. With workers, reports arrive in another order."""
        return sorted(self.runs[number].items(), key=lambda item: self._places[item[0]])

    def verdict(self, number: str) -> str:
        """Return the verdict of a row. Skipped tests have not run, and all others must have passed."""
        outcomes = {run.outcome for run in self.runs[number].values()} - {'skipped'}
        if not outcomes:
            return NOT_RUN
        return PASS if outcomes == {'passed'} else FAIL

    def findings(self, number: str) -> str:
        """Return what the tests of a row measured, and which failed."""
        runs = self.in_order(number)
        failed = [f'failed: {test.split("::")[-1]}' for test, run in runs if run.outcome == 'failed']
        return '\n'.join([*failed, *(text for _, run in runs for text in run.measured)])

    def table(self, width: int) -> str:
        """Return the table of the faults that were tested, `width` characters wide, and name the others."""
        table = Table('', 'fault', 'promise', 'measured', 'verdict', title='Fault matrix', show_lines=True)
        for number in filter(self.runs.get, FAULTS):
            fault = FAULTS[number]
            table.add_row(number, fault.what, fault.promise, self.findings(number), self.verdict(number))
        others = [number for number in FAULTS if not self.runs[number]]
        table.caption = f'{NOT_RUN}: {", ".join(others)}' if others else None
        text = StringIO()
        Console(file=text, width=width, color_system=None).print(table)
        return text.getvalue()

    def to_json(self) -> dict[str, object]:
        """Return the matrix with the machine and the time."""
        rows = [
            {
                'number': number,
                'fault': fault.what,
                'promise': fault.promise,
                'verdict': self.verdict(number),
                'tests': [{'test': test, **vars(run)} for test, run in self.in_order(number)],
            }
            for number, fault in FAULTS.items()
        ]
        machine = f'{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()}'
        return {'measured_at': datetime.now(UTC).isoformat(timespec='seconds'), 'machine': machine, 'faults': rows}

    def to_markdown(self) -> str:
        """Return the matrix as a Markdown table, with the files that hold the tests."""
        lines = ['| | fault | promise | measured | tests |', '|---|---|---|---|---|']
        for number, fault in FAULTS.items():
            measured = '; '.join(self.findings(number).splitlines()) or '-'
            files = dict.fromkeys(test.split('::')[0].removeprefix('test/') for test, _ in self.in_order(number))
            tests = ', '.join(f'`{file}`' for file in files)
            verdict = self.verdict(number)
            lines.append(f'| {number} | {fault.what} | {fault.promise} | **{verdict}**: {measured} | {tests} |')
        return '\n'.join(lines) + '\n'


_MATRIX = pytest.StashKey[FaultMatrix]()


@pytest.fixture
def measured(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Report what this test measured, in a few words with figures. A test may call it several times."""
    return lambda text: request.node.user_properties.append(('measured', text))


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --fault-report."""
    text = 'write the fault matrix to PATH, as Markdown or JSON'
    parser.addoption('--fault-report', metavar='PATH', type=Path, help=text)


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker and create the matrix."""
    config.addinivalue_line('markers', _MARKER)
    config.stash[_MATRIX] = FaultMatrix()
    config.pluginmanager.register(config.stash[_MATRIX], 'fault_matrix_runs')


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Attach the faults of each test to its reports. An unknown fault ends the run."""
    for place, item in enumerate(items):
        for number in _numbers(item):
            if number not in FAULTS:
                raise pytest.UsageError(f'{item.nodeid}: no fault {number!r}; there are {", ".join(FAULTS)}')
            item.user_properties += [('fault', number), ('place', place)]


def _numbers(item: pytest.Item) -> Iterator[str]:
    """Yield each fault of a test once, also when both the module and the test have the marker."""
    yield from dict.fromkeys(number for marker in item.iter_markers('fault') for number in marker.args)


def pytest_terminal_summary(terminalreporter: TerminalReporter, config: pytest.Config) -> None:
    """Print the matrix if any fault test ran, and write the report."""
    matrix = config.stash[_MATRIX]
    path: Path | None = config.getoption('--fault-report')
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        as_json = json.dumps(matrix.to_json(), indent=2, ensure_ascii=False) + '\n'
        path.write_text(matrix.to_markdown() if path.suffix == '.md' else as_json)
    if any(matrix.runs.values()):
        terminalreporter.write('\n' + matrix.table(max(100, shutil.get_terminal_size().columns)))
