# SPDX-License-Identifier: Apache-2.0
"""The table and the curve of the endurance walks, on runs that are made by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from aura_ros.bench.endurance_figure import draw
from aura_ros.bench.endurance_report import accuracy_at, curve, ended, markdown, show, summarise
from aura_ros.bench.endurance_window import Course

COURSE = Course(steps=200_000, window=50_000)


def run(memory: str, seed: int, *accuracies: float, ended: str = '', **columns: Any) -> dict[str, Any]:
    fires = {f'fire_{kind}': 0.1 * seed for kind in ('event', 'distractor', 'repeat', 'query')}
    found = [
        {'end': 50_000 * (i + 1), 'steps': 50_000, 'accuracy': accuracy, 'state_norm': 3.0, **fires}
        for i, accuracy in enumerate(accuracies)
    ]
    row = {'memory': memory, 'seed': seed, 'parameters': 5, 'steps': 50_000 * len(found), 'ended': ended}
    rest = {'state_bytes': 64, 'writes_per_step': 0.5, 'numpy_answers': 1.0, 'numpy_writes': 1.0, 'steps_per_s': 100}
    return row | rest | {'windows': found} | columns


RUNS = [
    run('kv', 0, 0.9, 0.8, ended='entries'),
    run('kv', 1, 0.7, 0.6, ended='entries'),
    run('gru', 0, 0.5, 0.1, ended='chance'),
    run('gru', 1, 0.5, 0.4, 0.4, 0.3),
    run('aura', 0, 0.8, 0.8, 0.8, 0.4),
    run('aura', 1, 1.0, 0.9, 0.9, 1.0),
]


def rows() -> dict[str, dict[str, Any]]:
    return {row['memory']: row for row in summarise(RUNS, COURSE)}


def test_accuracy_is_that_of_the_window_with_the_step() -> None:
    gru = RUNS[2]
    assert [accuracy_at(gru, step) for step in (1, 50_000, 50_001, 100_000)] == [0.5, 0.5, 0.1, 0.1]
    assert accuracy_at(gru, 100_001) == 0.125, 'it stopped at chance'
    assert accuracy_at(RUNS[0], 100_001) is None, 'it stopped for another reason, so its accuracy is not known'


def test_means_and_worst_seed() -> None:
    aura = rows()['aura']
    assert (aura['first'], aura['middle'], aura['last']) == pytest.approx((0.9, 0.85, 0.7))
    assert aura['last_worst'] == 0.4 and aura['kept'] == pytest.approx(0.75)
    assert aura['last_low'] == 0.0 and aura['last_high'] == 1.0, 'the interval of a share stays within 0 and 1'
    assert aura['fire_event'] == pytest.approx(0.05) and aura['steps'] == 200_000


def test_seed_that_stopped_counts_as_chance() -> None:
    gru = rows()['gru']
    assert (gru['stopped'], gru['steps']) == (1, 100_000)
    assert gru['last'] == pytest.approx((0.125 + 0.3) / 2) and gru['last_worst'] == 0.125
    assert gru['kept'] == pytest.approx((0.25 + 0.6) / 2)
    assert ended(gru) == 'chance at 100,000, 1 of 2 seeds'


def test_memory_that_grows_has_its_own_last_window() -> None:
    kv = rows()['kv']
    assert kv['last'] == pytest.approx(0.7) and kv['stopped'] == 0 and kv['grown']
    assert ended(kv) == '100,000 entries' and ended(rows()['aura']) == ''


def test_best_memory_is_first_and_every_row_has_all_cells() -> None:
    table = summarise(RUNS, COURSE)
    assert [row['last'] for row in table] == sorted((row['last'] for row in table), reverse=True)
    lines = markdown(table, COURSE).splitlines()
    assert len(lines) == 2 + 3 and len({line.count('|') for line in lines}) == 1
    assert '| at 100,000 |' in lines[0] and '0.900 | 0.850' in next(line for line in lines if 'aura' in line).replace(
        ' [0.000, 1.000]', ''
    )
    assert '100,000' not in markdown(summarise([run('aura', 0, 0.9)], Course(50_000, 50_000)), Course(50_000, 50_000))


def test_curve_has_the_range_of_the_seeds() -> None:
    points = curve(RUNS, 'gru')
    assert [point['end'] for point in points] == [50_000, 100_000, 150_000, 200_000]
    assert points[-1] == {'end': 200_000, 'accuracy': pytest.approx(0.2125), 'lowest': 0.125, 'highest': 0.3}
    assert [point['end'] for point in curve(RUNS, 'kv')] == [50_000, 100_000]


def test_disagreement_with_the_numpy_memory_is_printed() -> None:
    def printed(runs: list[dict[str, Any]]) -> str:
        console = Console(record=True, width=200, quiet=False, file=None)
        with console.capture() as text:
            show('hard', summarise(runs, COURSE), COURSE, console)
        return text.get()

    assert 'NumPy' not in printed(RUNS)
    broken = run('ssm', 0, 0.5, 0.5, 0.5, 0.5, numpy_writes=0.9)
    assert 'ssm: the NumPy memory gives 1.0000 of the same answers and 0.9000 of the same writes' in printed([broken])
    assert 'NumPy' not in printed([run('random', 0, 0.5, 0.5, 0.5, 0.5, numpy_writes=None)])


def test_plot_is_drawn(tmp_path: Path) -> None:
    pytest.importorskip('matplotlib')
    draw('hard', {memory: curve(RUNS, memory) for memory in ('kv', 'gru', 'aura')}, COURSE, tmp_path / 'plot.png')
    assert (tmp_path / 'plot.png').stat().st_size > 10_000
