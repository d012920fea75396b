# SPDX-License-Identifier: Apache-2.0
"""What a memory costs as its episode gets longer: bytes of state and time of a step.

Every memory of the family is driven through the protocol that the nodes use, with random weights and observations:
neither bytes nor time depend on what was learnt. Every step is a real step. At 1, 2, 5, 10 and so on steps the state
is exported and its bytes counted, and the steps just before (half of them, at most 100) are timed: median and 95th
percentile. The first 1,000 steps are driven 20 times, for one step alone cannot be timed.

  to 100,000 steps     all memories in one process, ten timed steps of each in turn: only these times are compared
  to 1,000,000 steps   each memory of constant size by itself

All have the 32 x 32 state of the paper or as many weights as AURA-Mem has with it; the windowed KV-cache keeps the 16
steps whose 256 bytes each fit into 4,224. Learned gates are held open, so that every step writes; aura-silent is
AURA-Mem with the gate held shut. Times of the first few steps are those of cold caches, for the others have just run.

It takes about half an hour on two cores: seven minutes to 100,000 steps, most of them for the KV-cache, whose step
there reads 25.6 MB, then 15 to 25 minutes to 1,000,000. With --quick, to 2,000 steps, it takes 20 seconds. Needs torch
(the train extra), to make the weights.

Writes horizon.csv, horizon.json and horizon.png.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from rich.console import Console
from rich.table import Table

from aura_ros.bench.horizon_figure import draw
from aura_ros.bench.horizon_run import GROWING, NAMES, HorizonSetting, alone, passes, together, work
from aura_ros.bench.jobs import Job, run_jobs
from aura_ros.bench.store import ResultStore
from aura_ros.common.errors import ConfigError
from aura_ros.common.progress import Bar

SUMMARY = 'state bytes and step time of every memory from 1 step to 1,000,000'
PAPER_RATIO = 6061
"""KV-cache over AURA-Mem after 100,000 steps, as the paper has it."""
QUICK = {'steps': 2000, 'compared': 2000, 'repeats': 3, 'repeated': 200}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which memories, how far."""
    parser.set_defaults(seeds=(0,))  # the first makes weights and observations; neither bytes nor times depend on it
    parser.add_argument('--memories', default=','.join(NAMES), metavar='LIST', help='of %(default)s (default: all)')
    parser.add_argument(
        '--steps',
        type=int,
        metavar='N',
        help='last step of the memories of constant size (default: 1,000,000, with --quick 2,000)',
    )


def run(args: argparse.Namespace, console: Console) -> int:
    """Drive, report, write."""
    names = args.memories.split(',')
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        raise ConfigError(f'memories must be of {", ".join(NAMES)}, got {", ".join(unknown)}')
    setting = HorizonSetting(seed=args.seeds[0], **(QUICK if args.quick else {}))
    if args.steps is not None:
        if args.steps < 1:
            raise ConfigError(f'steps must be >= 1, got {args.steps}')
        setting = replace(setting, steps=args.steps, compared=min(args.steps, setting.compared))
    store = ResultStore(args.output, 'horizon', {'setting': setting, 'memories': names}, args.fresh)
    found = store.get('together')
    if found is None:
        total = sum(work(names, 0, end) for end in passes(setting))
        with Bar(console, f'to {setting.compared:,} steps', total) as bar:
            found = store.add('together', together(names, setting, bar.advance))
    rows = list(found['rows'])
    if setting.steps > setting.compared:
        jobs = [Job(f'alone-{name}', alone, (name, setting)) for name in names if name not in GROWING]
        for further in run_jobs(jobs, store, console, args.jobs).values():
            rows += further['rows']
    facts = {'seeds': [setting.seed], 'fast_weights': found['fast_weights'], **ratios(rows, setting.compared)}
    store.write(rows, facts)
    draw(rows, setting.compared, store.file('.png'))
    report(console, rows, names, setting, facts)
    console.print(f'written: {", ".join(str(store.file(end)) for end in (".csv", ".json", ".png"))}')
    return 0


def ratios(rows: Sequence[dict[str, Any]], compared: int) -> dict[str, Any]:
    """KV-cache over AURA-Mem at `compared` steps, in bytes and in time of the same run; empty without one of them."""
    at = {row['memory']: row for row in rows if row['run'] == 'together' and row['steps'] == compared}
    if not {'kv', 'aura'} <= at.keys():
        return {}
    return {
        'ratio_steps': compared,
        'bytes_ratio': at['kv']['bytes'] / at['aura']['bytes'],
        'time_ratio': at['kv']['median_us'] / at['aura']['median_us'],
        'paper_bytes_ratio_at_100000': PAPER_RATIO,
    }


def report(
    console: Console,
    rows: Sequence[dict[str, Any]],
    names: Sequence[str],
    setting: HorizonSetting,
    facts: dict[str, Any],
) -> None:
    """The table: a line for each memory, at the first step, at the last that is compared and at the end."""
    table = Table(title=f'State and step time; to {setting.compared:,} steps all memories in one run')
    columns = dict.fromkeys([('together', 1), ('together', setting.compared)])
    if setting.steps > setting.compared:
        columns['alone', setting.steps] = None
    table.add_column('memory')
    for run_name, steps in columns:
        where = f'step {steps:,}' if run_name == 'together' else f'{steps:,}, alone'
        table.add_column(f'{where}\n[B]', justify='right')
        table.add_column('median, p95\n[µs]', justify='right')
    found = {(row['memory'], row['run'], row['steps']): row for row in rows}
    for name in names:
        cells = []
        for column in columns:
            row = found.get((name, *column))
            cells += (
                ['-', '-'] if row is None else [f'{row["bytes"]:,}', f'{row["median_us"]:,.0f}, {row["p95_us"]:,.0f}']
            )
        table.add_row(name, *cells)
    console.print(table)
    bare = facts['fast_weights']
    console.print(f'a write and a read of the fast weights: {bare["median_us"]:.1f} µs, p95 {bare["p95_us"]:.1f} µs')
    if 'bytes_ratio' in facts:
        console.print(
            f'KV-cache over AURA-Mem at step {setting.compared:,}: {facts["bytes_ratio"]:,.1f}x the bytes '
            f'({PAPER_RATIO:,}x in the paper at 100,000), {facts["time_ratio"]:.1f}x the time'
        )
