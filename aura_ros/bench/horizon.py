# SPDX-License-Identifier: Apache-2.0
"""State size and step time of a memory by the length of its episode.

Every memory runs through the interface that the nodes use, with random weights and observations, because neither size
nor time depends on the weights. Every step is computed. At 1, 2, 5, 10 and so on steps, the state is exported and its
bytes are counted. The steps just before (half of them, at most 100) are timed: median and 95th percentile. The first
1,000 steps run 20 times, because a single step is too short to be timed alone.

  to 100,000 steps     all memories take turns of ten timed steps in one process; only these times are comparable
  to 1,000,000 steps   each memory of constant size runs alone

All memories have the 32 x 32 state of the paper or as many weights as an AURA-Mem with this state. The windowed
KV-cache keeps 16 steps of 256 bytes, the most that 4,224 bytes can hold. Learned gates are kept open, so that every
step writes; aura-silent is AURA-Mem with a closed gate. The first few times include cold caches, because the other
memories ran just before.

Runtime: about half an hour on two cores. The first 100,000 steps take seven minutes, mostly for the KV-cache, whose
step reads up to 25.6 MB. The rest takes 15 to 25 minutes. --quick runs 2,000 steps in 20 seconds. The weights are made
with torch (the train extra).
Output: DIR/horizon.csv, .json and .png.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from rich.console import Console

from aura_ros.bench.horizon_figure import draw
from aura_ros.bench.horizon_run import GROWING, NAMES, HorizonSetting, episode_lengths, run_alone, run_together, work
from aura_ros.bench.jobs import Job, run_jobs
from aura_ros.bench.store import ResultStore
from aura_ros.common.arguments import names_of, positive_integer
from aura_ros.common.progress import Bar
from aura_ros.common.tables import FiguresTable

SUMMARY = 'state bytes and step time of every memory from 1 step to 1,000,000'
PAPER_RATIO = 6061
"""State bytes of the KV-cache relative to AURA-Mem after 100,000 steps in the paper."""
QUICK = {'steps': 2000, 'compared': 2000, 'repeats': 3, 'repeated': 200}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    parser.set_defaults(seeds=(0,))  # Neither bytes nor times depend on the seed.
    parser.add_argument(
        '--memories',
        type=names_of(NAMES),
        default=','.join(NAMES),
        metavar='LIST',
        help='memories to run (default: %(default)s)',
    )
    parser.add_argument(
        '--steps',
        type=positive_integer,
        metavar='N',
        help='steps of the memories of constant size (default: 1,000,000, with --quick 2,000)',
    )


def run(args: argparse.Namespace, console: Console) -> int:
    """Measure and report. Return the exit code."""
    names = list(args.memories)
    setting = HorizonSetting(seed=args.seeds[0], **(QUICK if args.quick else {}))
    if args.steps is not None:
        setting = replace(setting, steps=args.steps, compared=min(args.steps, setting.compared))
    store = ResultStore(args.output, 'horizon', {'setting': setting, 'memories': names}, args.fresh)
    found = store.get('together')
    if found is None:
        total = sum(work(names, 0, end) for end in episode_lengths(setting))
        with Bar(console, f'to {setting.compared:,} steps', total) as bar:
            found = store.add('together', run_together(names, setting, bar.advance))
    rows = list(found['rows'])
    if setting.steps > setting.compared:
        jobs = [Job(f'alone-{name}', run_alone, (name, setting)) for name in names if name not in GROWING]
        for further in run_jobs(jobs, store, console, args.jobs).values():
            rows += further['rows']
    facts = {'seeds': [setting.seed], 'fast_weights': found['fast_weights'], **ratios(rows, setting.compared)}
    store.write(rows, facts)
    draw(rows, setting.compared, store.file('.png'))
    report(console, rows, names, setting, facts)
    store.print_files(console, '.csv', '.json', '.png')
    return 0


def ratios(rows: Sequence[dict[str, Any]], compared: int) -> dict[str, Any]:
    """Return bytes and step time of the KV-cache relative to AURA-Mem at `compared` steps; empty without both."""
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
    """Print the table: each memory at the first step, at `setting.compared` and at the last step."""
    columns = dict.fromkeys([('together', 1), ('together', setting.compared)])
    if setting.steps > setting.compared:
        columns['alone', setting.steps] = None
    headings = []
    for run_name, steps in columns:
        where = f'step {steps:,}' if run_name == 'together' else f'step {steps:,}, alone'
        headings += [f'{where} [B]', f'{where} median, p95 [µs]']
    title = f'State size and step time; one shared run to {setting.compared:,} steps'
    table = FiguresTable(title, keys=('memory',), figures=headings)
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
    console.print(
        f'fast weights alone, one write and one read: {bare["median_us"]:.1f} µs, p95 {bare["p95_us"]:.1f} µs'
    )
    if 'bytes_ratio' in facts:
        console.print(
            f'KV-cache relative to AURA-Mem at step {setting.compared:,}: {facts["bytes_ratio"]:,.1f}x the bytes '
            f'({PAPER_RATIO:,}x in the paper at 100,000), {facts["time_ratio"]:.1f}x the time'
        )
