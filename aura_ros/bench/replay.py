# SPDX-License-Identifier: Apache-2.0
"""What a replay costs as the recording gets longer: its speed against real time, and the memory of the process.

Recordings of 2,048, 10,240 and 40,960 steps (five a second: 7 minutes to 2 1/4 hours) are made up, for neither figure
depends on what is seen: features as spread as those the shipped memories were trained on, a new one every five seconds,
with a picture and a recorded action at each step. They lie in the cache as the backbone leaves them. Then, in a process
of its own for each length, all policies but the full KV-cache run, and all files of the report are written.

  memories   time of all policies, without the summary and the page
  in all     with them
  resident   the most the process held, files it looked at included

It takes about four minutes on two cores, one length after the other; with --quick, to 512 steps, 15 seconds.

Writes replay.csv and replay.json.
"""

from __future__ import annotations

import argparse
import resource
import time
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from aura_ros.bench.jobs import Job, run_jobs
from aura_ros.bench.store import ResultStore

if TYPE_CHECKING:  # --help needs none of it
    from aura_ros.memory.weights import MemoryWeights
    from aura_ros.replay.steps.cache import StepCache

SUMMARY = 'speed and memory of a replay, by the length of the recording'
POLICIES = ('base', 'aura', 'kv-window', 'always', 'random', 'periodic')
LENGTHS = (2_048, 10_240, 40_960)
QUICK = (256, 512)
STEP_S = 0.2
_SCENE_STEPS = 25


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which lengths."""
    parser.set_defaults(seeds=(0,))  # the first makes the features; neither speed nor memory depends on it
    parser.add_argument(
        '--steps',
        type=_lengths,
        metavar='LIST',
        help=f'lengths of the recordings (default: {",".join(map(str, LENGTHS))})',
    )


def run(args: argparse.Namespace, console: Console) -> int:
    """Measure, report, write."""
    lengths = args.steps or (QUICK if args.quick else LENGTHS)
    store = ResultStore(args.output, 'replay', {'policies': POLICIES, 'seed': args.seeds[0]}, args.fresh)
    # a process for each, one after the other: the most it ever held is what is asked
    rows = [
        run_jobs([Job(f'{steps} steps', measure, (steps, args.seeds[0]))], store, console, 1)[f'{steps} steps']
        for steps in lengths
    ]
    growth = _growth(rows)
    store.write(rows, {'seeds': [args.seeds[0]], 'growth_bytes_per_step': growth})
    table = Table(title=f'Replay of made-up recordings through {", ".join(POLICIES)}')
    for column in ('steps', 'recorded [s]', 'memories [s]', 'in all [s]', 'faster than real time', 'resident [MB]'):
        table.add_column(column, justify='right')
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
        console.print(f'resident memory from {lengths[0]:,} to {lengths[-1]:,} steps: {growth:+.0f} B a step')
    console.print(f'written: {store.file(".csv")}, {store.file(".json")}')
    return 0


def _growth(rows: list[dict[str, Any]]) -> float | None:
    """Bytes of resident memory for each further step; None with one length."""
    first, last = rows[0], rows[-1]
    further = last['steps'] - first['steps']
    return (last['resident_mb'] - first['resident_mb']) * 1e6 / further if further else None


def measure(steps: int, seed: int) -> dict[str, Any]:
    """Replay a recording of so many steps, in a process that has done nothing else."""
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
        with StepCache(folder, 'made-up') as cache:
            _fill(cache, weights, steps, seed)
            began, arrays = time.perf_counter(), DiskArrays(folder)
            runs = run_policies(POLICIES, options, cache, arrays)
            memories_s = time.perf_counter() - began
            found = Evaluated(About('made up'), StepTable.collect(cache, runs, arrays), runs)
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
    """Put made-up steps for a memory of these weights into the cache, in parts as a replay does."""
    from aura_ros.replay.steps.arrays import Row, StepsBuilder, StepsInfo
    from aura_ros.replay.steps.cache import PART_STEPS
    from aura_ros.replay.steps.features import thumbnail

    rng = np.random.default_rng(seed)
    mean, scale = weights.arrays['feature_mean'], weights.arrays['feature_scale']
    builder = StepsBuilder(StepsInfo(tuple(f'joint{i}' for i in range(weights.action_dim)), 0.05, 4))
    scene: NDArray[np.floating[Any]] = mean
    picture = b''
    for step in range(steps):
        if step % _SCENE_STEPS == 0:
            scene = mean + scale * rng.normal(size=len(mean))
            picture = thumbnail(rng.integers(0, 256, (96, 128, 3), np.uint8))
        features = scene + 0.02 * scale * rng.normal(size=len(mean))
        base = np.repeat(rng.normal(0, 0.3, (1, weights.action_dim)), weights.chunk_size, axis=0).astype(np.float32)
        row = Row(round(step * STEP_S * 1e9), 'made-up', step, features.astype(np.float32), base)
        builder.add(replace(row, recorded_action=base + np.float32(0.01), thumbnail=picture))
        if len(builder) == PART_STEPS or step + 1 == steps:
            cache.append(builder.take())


def _lengths(text: str) -> tuple[int, ...]:
    parts = text.split(',')
    if not all(part.isdecimal() and int(part) > 1 for part in parts):
        raise argparse.ArgumentTypeError(f'{text!r}: must be whole numbers >= 2, for instance 2048,20480')
    return tuple(sorted({int(part) for part in parts}))
