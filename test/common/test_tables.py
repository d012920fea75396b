# SPDX-License-Identifier: Apache-2.0
"""No table cuts a figure: every program's table at the widths of narrow terminals, and in a file."""

from __future__ import annotations

import ast
import io
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from rich.console import Console

from aura_ros.bench import (
    ais,
    endurance_report,
    horizon,
    popgym_report,
    robustness_report,
    synthetic_report,
    tmaze_report,
    vla,
)
from aura_ros.bench import replay as bench_replay
from aura_ros.bench.endurance_window import Course
from aura_ros.bench.robot.console import print_endurance, print_paired, print_table
from aura_ros.bench.robot.endurance import Block, PolicyRun
from aura_ros.bench.robot.paired import PairedRow
from aura_ros.bench.robot.records import PanelRow
from aura_ros.bench.robot.soak import Counters, SoakLimits, SoakRecord, Trend
from aura_ros.common.console import PLAIN_WIDTH
from aura_ros.common.tables import FiguresTable
from aura_ros.control.robot_file import read_robot_file
from aura_ros.replay.report import terminal
from aura_ros.state.format import Identity, SlotContent, Snapshot
from aura_ros.state.tables import compare, print_difference, print_file
from aura_ros.tools.robot.table import show as show_robot

ROOT = Path(__file__).parents[2]
MEMORIES = ('aura-content', 'elmur-detached', 'kv-window')
BIG = 12_345_678


class Row(dict[str, Any]):
    """A row that has every column, with a figure of many digits."""

    def __missing__(self, key: str) -> Any:
        return 0.123456

    def __contains__(self, key: object) -> bool:
        return True


def panel(console: Console) -> None:
    row = PanelRow('put_back', 'aura', 1000, 987, (0.951, 0.999), BIG, 12345.67, BIG, 12345.0, 98765.0)
    print_table(console, [replace(row, task=task, policy=policy) for task in ('recall', 'both') for policy in 'ab'])
    print_paired(console, [PairedRow('recall,visible,put_back,sequence,both,many', 'aura', 'kv', 1234, 567, 890, 12)])


def endurance_panel(console: Console) -> None:
    block = Block(900, 100, 97, BIG, BIG)
    results = (('recall', True), ('many', False)) * 500
    run = PolicyRun('aura', True, 1.0, 9, 0, results, (replace(block, first=0), block))
    print_endurance(console, [replace(run, policy=policy) for policy in ('base', 'aura', 'kv')])


def soak(console: Console) -> None:
    from aura_ros.tools.soak.main import _show

    trend = Trend(12345.6, 12399.9, 1234.56, 480, 8.0)
    names = ('policy_switch_node', 'kv_baseline_node')
    counters = Counters(BIG, BIG, 3, BIG, BIG, writes=BIG, device_bytes=BIG, episodes=960, switches=959)
    limits = SoakLimits(10.0, 0.05, 0.05)
    record = SoakRecord(
        '', 28800.0, 28000.0, 20.0, 5.0, limits, counters, dict.fromkeys(names, trend), {names[0]: 0.123}
    )
    _show(console, record)


def replay(console: Console) -> None:
    estimate = SimpleNamespace(mean=-0.12345, low=-0.23456, high=-0.01234, apart_from_zero=True)
    row = SimpleNamespace(
        writes=BIG,
        write_rate=0.123,
        state_bytes=4224,
        device_bytes=BIG,
        error=estimate,
        difference=estimate,
        p50_us=12345.0,
        gated=True,
    )
    policies = [SimpleNamespace(name=name, **vars(row)) for name in ('base', 'aura', 'kv-window', 'memoryless')]
    summary = SimpleNamespace(steps=BIG, scored=BIG, policies=policies, drivers={})
    console.print(terminal._table(cast(Any, summary), 'a [recording] with a name'))


def robot(console: Console) -> None:
    show_robot(read_robot_file(ROOT / 'config' / 'robots' / 'ur5e.yaml'), console)


def slot(number: int) -> SlotContent:
    payload = np.arange(64, dtype=np.float32).tobytes()
    identity = Identity(bytes(range(32)), '<f4[8,8]', len(payload))
    snapshot = Snapshot(payload, '0123456789abcdef0123456789abcdef', BIG + number, BIG)
    saved_ns = 1_700_000_000_000_000_000
    return SlotContent(number, identity=identity, snapshot=snapshot, generation=BIG, saved_ns=saved_ns)


def state(console: Console) -> None:
    slots = (slot(0), slot(1))
    found = SimpleNamespace(path='my.state', size=BIG, slots=slots, newest=slots[1], problem='', damaged='')
    print_file(console, cast(Any, found), 4321)
    other = replace(slots[1], snapshot=replace(cast(Snapshot, slots[1].snapshot), payload=bytes(256)))
    print_difference(console, ('before.state', slots[0]), ('after.state', other), compare(slots[0], other))


def synthetic(console: Console) -> None:
    synthetic_report.show('hard-64', [Row(memory=name, seeds=5, state_bytes=BIG) for name in MEMORIES], console)


def endurance(console: Console) -> None:
    rows = [Row(memory=name, numpy_answers=None, numpy_writes=None, ended_at=None) for name in MEMORIES]
    endurance_report.show('hard', rows, Course(), console)


def robustness(console: Console) -> None:
    levels = {'noise': (1.0, 2.0, 3.0), 'gain': (0.5, 1.0, 2.0), 'offset': (0.0, 0.1, 0.3), 'walk': (0.0, 0.3)}
    changes = [(kind, level) for kind, values in levels.items() for level in values]
    rows = [Row(memory=name, change=kind, level=level) for name in MEMORIES for kind, level in changes]
    robustness_report.show('hard', rows, levels, console)


def horizons(console: Console) -> None:
    rows = [
        Row(memory=name, run=run, steps=steps, bytes=BIG, median_us=1234.5, p95_us=98765.4)
        for name in MEMORIES
        for run, steps in (('together', 1), ('together', 100_000), ('alone', 1_000_000))
    ]
    horizon.report(console, rows, MEMORIES, horizon.HorizonSetting(), Row(fast_weights=Row()))


def tmaze(console: Console) -> None:
    lengths = (10, 30, 90, 600, 1200, 9600, 100_000, 1_000_000)
    rows = [Row(memory=name, length=length, stopped=1, seeds=5) for name in MEMORIES for length in lengths]
    console.print(tmaze_report._table('selective', rows))


def popgym(console: Console) -> None:
    rows = [Row(memory=name, id=game) for name in MEMORIES for game in ('AutoencodeEasy', 'CountRecallHard')]
    console.print(popgym_report._table_of_ids(rows))
    means = [Row(memory=name, near_best=3, ids=5, state_bytes=(4224, BIG)) for name in MEMORIES]
    console.print(popgym_report._table_of_memories(means))


def ais_bound(console: Console) -> None:
    runs = [Row(questions=BIG, accuracy=0.99)]
    ais.report(console, 'hard', runs, [Row(gamma=gamma) for gamma in (0.9, 0.99)])


def bench_of_replay(console: Console) -> None:
    rows = [
        {'steps': BIG, 'recorded_s': 98765.0, 'memories_s': 1234.5, 'in_all_s': 2345.6, 'resident_mb': 1234.5}
        for _ in range(2)
    ]
    bench_replay.report(console, rows, 12.0)


def vla_times(console: Console) -> None:
    row = {'part': 'vision and language', 'median_ms': 123.456, 'p95_ms': 234.567, 'share': 0.98765, 'state_bytes': BIG}
    vla.report([row], Row(model='openvla_oft', device='cuda', gpu=''), console)


TABLES = [
    panel,
    endurance_panel,
    soak,
    replay,
    robot,
    state,
    synthetic,
    endurance,
    robustness,
    horizons,
    tmaze,
    popgym,
    ais_bound,
    bench_of_replay,
    vla_times,
]

DROPPED = {panel: {'12345.67'}, replay: {'12.3%'}}
"""Figures that follow from others, whose column is dropped where there is no room."""


def shown(write: Callable[[Console], None], width: int) -> str:
    console = Console(file=io.StringIO(), width=width, highlight=False)
    write(console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def figures(text: str) -> set[str]:
    return set(re.findall(r'[-+]?\d[\d.,:%/]*', text))


@pytest.mark.parametrize('width', [80, 60])
@pytest.mark.parametrize('write', TABLES, ids=lambda write: write.__name__)
def test_every_figure_of_every_table_is_whole(write: Callable[[Console], None], width: int) -> None:
    narrow, whole = shown(write, width), shown(write, PLAIN_WIDTH)
    assert '…' not in narrow and '…' not in whole
    assert max(map(len, narrow.splitlines())) <= width
    missing = figures(whole) - figures(narrow) - DROPPED.get(write, set())
    assert not missing, narrow


def test_all_tables_of_the_package_are_of_this_kind() -> None:
    for path in sorted((ROOT / 'aura_ros').rglob('*.py')):
        for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
            if isinstance(node, ast.ImportFrom) and node.module == 'rich.table':
                names = {alias.name for alias in node.names}
                assert path.name == 'tables.py' or 'Table' not in names, path


def table() -> FiguresTable:
    made = FiguresTable('title', keys=('key',), figures=('a long heading', 'half'), texts=('note',), optional=('half',))
    made.add_row('row', '1,234,567', '617,283', 'some words')
    made.add_section()
    made.add_row('other', '1', '0', '')
    return made


def lines(width: int) -> list[str]:
    return [line.rstrip() for line in shown(lambda console: console.print(table()), width).splitlines()]


def test_a_file_has_one_line_for_each_row() -> None:
    assert lines(PLAIN_WIDTH) == [
        '',
        'title',
        'key    a long heading     half  note',
        '─' * 42,
        'row         1,234,567  617,283  some words',
        '',
        'other               1        0',
    ]


def test_headings_and_texts_wrap_first() -> None:
    assert lines(36) == [
        '',
        'title',
        '          a long',
        'key      heading     half  note',
        '─' * 36,
        'row    1,234,567  617,283  some',
        '                           words',
        '',
        'other          1        0',
    ]


def test_then_columns_are_dropped_and_then_spread() -> None:
    assert lines(26)[2:5] == ['          a long', 'key      heading  note', '─' * 26]
    assert lines(16)[2:] == [
        '          a long',
        'key      heading',
        '─' * 16,
        'row    1,234,567',
        '',
        'other          1',
        '',
        'key    note',
        '─' * 16,
        'row    some',
        '       words',
        '',
        'other',
    ]


def test_a_row_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match='3 cells, must be 4'):
        table().add_row('a', '1', '2')
