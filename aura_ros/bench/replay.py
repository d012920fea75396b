# SPDX-License-Identifier: Apache-2.0
"""Speed and memory use of a replay by the length of the recording.

The synthetic recordings have 2,048, 10,240 and 40,960 steps at five per second (7 minutes to 2 1/4 hours). Speed and
memory use do not depend on the content. Features are spread as in the training data of the shipped memories and change
every five seconds. Each step has a picture and a recorded action. The steps are in the cache, as after the backbone.
For each length, a new process runs all policies but the full KV-cache and writes all files of the report.

  memories   time of all policies, without summary and page
  total      time with summary and page
  resident   peak memory of the process, mapped files included

Runtime: about four minutes on two cores, one length after the other. --quick runs to 512 steps in 15 seconds.
Output: DIR/replay.csv and .json.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from aura_ros.bench.jobs import Job, run_jobs
from aura_ros.bench.store import ResultStore
from aura_ros.common.tables import FiguresTable

if TYPE_CHECKING:  # not needed by --help
    from aura_ros.memory.weights import MemoryWeights
    from aura_ros.replay.steps.cache import StepCache

SUMMARY = 'speed and memory use of a replay by the length of the recording'
POLICIES = ('base', 'aura', 'kv-window', 'always', 'random', 'periodic')
LENGTHS = (2_048, 10_240, 40_960)
QUICK = (256, 512)
STEP_S = 0.2
_SCENE_STEPS = 25


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    parser.set_defaults(seeds=(0,))  # Neither speed nor memory depends on the seed.
    parser.add_argument(
        '--steps',
        type=_lengths,
        metavar='LIST',
        help=f'numbers of steps of the recordings (default: {",".join(map(str, LENGTHS))})',
    )


def run(args: argparse.Namespace, console: Console) -> int:
    """Measure and report. Return the exit code."""
    lengths = args.steps or (QUICK if args.quick else LENGTHS)
    store = ResultStore(args.output, 'replay', {'policies': POLICIES, 'seed': args.seeds[0]}, args.fresh)
    # One process after the other: the result is the peak memory of each process.
    rows = [
        run_jobs([Job(f'{steps} steps', measure, (steps, args.seeds[0]))], store, console, 1)[f'{steps} steps']
        for steps in lengths
    ]
    growth = _growth(rows)
    store.write(rows, {'seeds': [args.seeds[0]], 'growth_bytes_per_step': growth})
    report(console, rows, growth)
    store.print_files(console, '.csv', '.json')
    return 0


def report(console: Console, rows: Sequence[dict[str, Any]], growth: float | None) -> None:
    """Print the table; `growth` is that of the peak memory [B per step]."""
    table = FiguresTable(
        f'Replay of synthetic recordings through {", ".join(POLICIES)}',
        keys=(),
        figures=('steps', 'recorded [s]', 'memories [s]', 'total [s]', 'faster than real time', 'peak resident [MB]'),
    )
    for row in rows:
        table.add_row(
            f'{row["steps"]:,}',
            f'{row["recorded_s"]:,.0f}',
            f'{row["memories_s"]:.1f}',
            f'{row["in_all_s"]:.1f}',
            f'{row["recorded_s"] / row["in_all_s"]:.0f}x',
            f'{row["resident_mb"]:.1f}',
        )
    console.print(table)
    if growth is not None:
        first, last = rows[0]['steps'], rows[-1]['steps']
        console.print(f'peak resident memory from {first:,} to {last:,} steps: {growth:+.0f} B per step')


def _growth(rows: list[dict[str, Any]]) -> float | None:
    """Return the growth of the peak memory [B per step]; None with one length."""
    first, last = rows[0], rows[-1]
    further = last['steps'] - first['steps']
    return (last['resident_mb'] - first['resident_mb']) * 1e6 / further if further else None


def measure(steps: int, seed: int) -> dict[str, Any]:
    """Replay a recording of `steps` steps. A job function; needs a new process."""
    from aura_ros.memory.weights import load_weights
    from aura_ros.replay.disk_arrays import DiskArrays
    from aura_ros.replay.evaluate import run_policies
    from aura_ros.replay.evaluated import About, Evaluated, StepTable
    from aura_ros.replay.policies import PolicyOptions
    from aura_ros.replay.report.files import write_report
    from aura_ros.replay.report.summary import Report
    from aura_ros.replay.steps.cache import StepCache

    weights = load_weights('aura')
    options = PolicyOptions(weights.feature_dim, (weights.chunk_size, weights.action_dim), '', {}, 512)
    with TemporaryDirectory() as name:
        folder = Path(name)
        with StepCache(folder, 'synthetic') as cache:
            _fill(cache, weights, steps, seed)
            began, arrays = time.perf_counter(), DiskArrays(folder)
            runs = run_policies(POLICIES, options, cache, arrays)
            memories_s = time.perf_counter() - began
            found = Evaluated(About('synthetic'), StepTable.collect(cache, runs, arrays), runs)
            write_report(Report((found,), '', '', {}, {}, {}), folder / 'report')
            in_all_s = time.perf_counter() - began
    return {
        'steps': steps,
        'recorded_s': steps * STEP_S,
        'memories_s': memories_s,
        'in_all_s': in_all_s,
        'writes': int(runs['aura'].written.sum()),
        'resident_mb': resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6,
    }


def _fill(cache: StepCache, weights: MemoryWeights, steps: int, seed: int) -> None:
    """Append synthetic steps for a memory with these weights to the cache, in parts as a replay does."""
    from aura_ros.replay.steps.arrays import Row, Steps, StepsInfo
    from aura_ros.replay.steps.cache import PART_STEPS
    from aura_ros.replay.steps.features import thumbnail

    rng = np.random.default_rng(seed)
    mean, scale = weights.arrays['feature_mean'], weights.arrays['feature_scale']
    info, rows = StepsInfo(tuple(f'joint{i}' for i in range(weights.action_dim)), 0.05, 4), list[Row]()
    scene: NDArray[np.floating[Any]] = mean
    picture = b''
    for step in range(steps):
        if step % _SCENE_STEPS == 0:
            scene = mean + scale * rng.normal(size=len(mean))
            picture = thumbnail(rng.integers(0, 256, (96, 128, 3), np.uint8))
        features = scene + 0.02 * scale * rng.normal(size=len(mean))
        base = np.repeat(rng.normal(0, 0.3, (1, weights.action_dim)), weights.chunk_size, axis=0).astype(np.float32)
        row = Row(round(step * STEP_S * 1e9), 'synthetic', step, features.astype(np.float32), base)
        rows.append(replace(row, recorded_action=base + np.float32(0.01), thumbnail=picture))
        if len(rows) == PART_STEPS or step + 1 == steps:
            cache.append(Steps.of(info, rows))
            rows.clear()


def _lengths(text: str) -> tuple[int, ...]:
    parts = text.split(',')
    if not all(part.isdecimal() and int(part) > 1 for part in parts):
        raise argparse.ArgumentTypeError(f'{text!r}: must be integers >= 2, for example 2048,20480')
    return tuple(sorted({int(part) for part in parts}))
