# SPDX-License-Identifier: Apache-2.0
"""Is the state of a memory sufficient to act on? The value-loss bound of approximate information states in numbers.

This command runs the AURA-Mem weights of `synthetic` on new streams. It counts how often the memory answers wrongly
(epsilon), and how often its state does not evolve as a table of answers would (delta). These determine the largest
value that its answers can lose against the best policy with full history. There are two forms of the bound:

  worst case      the theorem as published; vacuous for every memory that ever errs, for the reason in the JSON
  in expectation  the same theorem along the episode, because actions here do not change later steps: with total
                  variation over the table, and with the metric of what the value depends on. With this metric delta
                  is 0, and the bound is twice the measured loss; it adds no information to the accuracy

Discounts are 0.5 to 0.99 and 1, the finite horizon. For comparison, the table shows the value of all answers right,
which is the largest possible loss, and the JSON the loss of guessing. Losses are shares of Rmax times the sum of
gamma^t. A bound is called vacuous if it is not below the value of all answers right.

The bound of the paper is vacuous. The paper relies on its action-prediction error, mean 0.0021 and 95th percentile
0.0076, whose formula is not published. For comparison, the command reports 1 minus the probability of the correct
class over all queries.

Runtime: about a minute for each weights file. --quick first trains for five seconds, which needs torch (the train
extra), and takes half a minute.
Output: DIR/ais.csv, .json and .png.
"""

import argparse
import hashlib
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from rich.console import Console

from aura_ros.bench.ais_bound import GUESSING, Share, discounted_steps, loss_bound, perfect_value
from aura_ros.bench.ais_estimate import Sampling, estimate
from aura_ros.bench.ais_figure import draw
from aura_ros.bench.jobs import Job, run_jobs
from aura_ros.bench.store import ResultStore
from aura_ros.bench.streams import StreamSetting, generator
from aura_ros.common.arguments import positive_integer
from aura_ros.common.errors import ConfigError
from aura_ros.common.tables import FiguresTable
from aura_ros.common.text_files import read_object
from aura_ros.memory import load_memory

SUMMARY = 'the AIS bound: the largest loss of value from acting on the memory instead of the history'
PAPER = {'action_error_mean': 0.0021, 'action_error_q95': 0.0076}
FRESH_STREAMS = 1000
"""Added to the seed of the weights, so that the streams differ from those of `synthetic`."""
QUICK = Sampling(episodes=100, steps=80, lead=60)


def _kind(name: str) -> str:
    if name in ('random', 'periodic'):
        raise argparse.ArgumentTypeError(
            f'{name!r}: must be a kind whose writes follow from its state, because queries would advance its schedule'
        )
    return name


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    parser.add_argument(
        '--weights',
        nargs='+',
        type=Path,
        metavar='FILE',
        help='safetensors files with their cards (default: those of synthetic in --output)',
    )
    parser.add_argument(
        '--memory', type=_kind, default='aura', metavar='KIND', help='memory kind of the weights (default: %(default)s)'
    )
    parser.add_argument(
        '--episodes',
        type=positive_integer,
        metavar='N',
        help=f'episodes for each weights file (default: {Sampling.episodes:,}, with --quick {QUICK.episodes})',
    )


def run(args: argparse.Namespace, console: Console) -> int:
    """Estimate and report. Return the exit code."""
    sampling = QUICK if args.quick else Sampling()
    if args.episodes is not None:
        sampling = Sampling(args.episodes, sampling.steps, sampling.gammas, sampling.lead)
    store = ResultStore(args.output, 'ais', {'sampling': sampling, 'memory': args.memory}, args.fresh)
    files = args.weights or (_train(args, store, console) if args.quick else _trained(args))
    jobs = [
        Job(f'{file.stem}-{_digest(file)[:12]}', estimate_file, (str(file), args.memory, sampling)) for file in files
    ]
    runs = list(run_jobs(jobs, store, console, args.jobs).values())
    rows = [row for _, group in grouped(runs) for row in bounds(group, sampling)]
    store.write(rows, {'seeds': [found['seed'] for found in runs], 'runs': runs, 'paper': PAPER, **FORMULA})
    draw(rows, store.file('.png'))
    for name, group in grouped(runs):
        report(console, name, group, [row for row in rows if row['setting'] == name])
    store.print_files(console, '.csv', '.json', '.png')
    return 0


FORMULA = {
    'source': 'Subramanian, Sinha, Seraj, Mahajan, JMLR 23(12), 2022, arXiv 2010.08843; statement as in Mahajan, '
    'lecture notes AIS-course of github.com/adityam/stochastic-control',
    'worst_case': '2 (eps + gamma rho(V) delta) / (1 - gamma), over T steps 2 sum_t gamma^t (eps + gamma rho(V) delta)',
    'in_expectation': '2 sum_t gamma^t E[eps(H_t) + gamma rho(V_t+1) delta(H_t)]',
    'metric': 'total variation over the table of answers, rho = span = 1; or the functions of whether the step is a '
    'query, which is all that the value depends on, for which delta = 0',
    'why_the_worst_case_is_vacuous': 'with Rmax = 1, a state that is right for one history and wrong for another has '
    'eps >= 1/2 in every model, so the bound is at least Rmax / (1 - gamma)',
    'unit': 'losses are shares of Rmax times the sum of gamma^t',
}


def estimate_file(path: str, memory: str, sampling: Sampling) -> dict[str, Any]:
    """Return the estimate for one weights file with the stream setting of its card. A job function."""
    file = Path(path)
    card = read_object(file.with_suffix('.json'))
    seed, setting = int(card['figures']['seed']), StreamSetting(**card['setting'])
    rng = generator('evaluation', FRESH_STREAMS + seed)
    return {
        'setting': setting_name(file, setting),
        'query': setting.query,
        'seed': seed,
        'weights_sha256': _digest(file),
        'episodes': sampling.episodes,
        **estimate(load_memory(memory, path), setting, sampling, rng),
    }


def setting_name(file: Path, setting: StreamSetting) -> str:
    """Return a name of a stream setting: the folder of `synthetic` and the main parameters."""
    folder = file.parent.parent.name
    name = folder.removeprefix('synthetic-') + ': ' if folder.startswith('synthetic-') else ''
    return f'{name}{setting.bindings} bindings, {setting.event:.3g} events and {setting.query:.3g} questions a step'


def grouped(runs: Sequence[dict[str, Any]]) -> list[tuple[str, list[dict[str, Any]]]]:
    """Return the runs of each setting."""
    names = dict.fromkeys(found['setting'] for found in runs)
    return [(name, [found for found in runs if found['setting'] == name]) for name in names]


def bounds(runs: Sequence[dict[str, Any]], sampling: Sampling) -> list[dict[str, Any]]:
    """Return a row for each discount from the runs of one setting; losses in units of Rmax sum gamma^t."""
    rows, trials = [], sum(found['episodes'] for found in runs)
    worst = float(any(found['accuracy'] < 1.0 for found in runs))
    for index, gamma in enumerate(sampling.gammas):
        total = discounted_steps(gamma, sampling.steps)
        epsilon, delta = (Share(sum(found[kind][index] for found in runs), trials) for kind in ('wrong', 'mismatch'))
        ends = {'': (epsilon.mean, delta.mean), '_high': (epsilon.interval[1], delta.interval[1])}
        all_right = perfect_value(runs[0]['query'], gamma, sampling.steps) / total
        row = {
            'setting': runs[0]['setting'],
            'gamma': gamma,
            'steps': sampling.steps,
            'episodes': trials,
            'sum_of_gamma_t': total,
            'epsilon': epsilon.mean,
            'epsilon_low': epsilon.interval[0],
            'epsilon_high': epsilon.interval[1],
            'delta': delta.mean,
            'delta_low': delta.interval[0],
            'delta_high': delta.interval[1],
        }
        for end, (of_epsilon, of_delta) in ends.items():
            row[f'bound_total_variation{end}'] = loss_bound(of_epsilon, of_delta, gamma, sampling.steps) / total
            row[f'bound_value{end}'] = loss_bound(of_epsilon, 0.0, gamma, sampling.steps) / total
        row |= {
            'true_loss': fmean(found['loss'][index] for found in runs),
            'all_right': all_right,
            'guessing_loss': GUESSING * all_right,
            'worst_epsilon_seen': worst,
            'worst_case_bound_at_least': 2.0 * worst if worst else None,
            'vacuous_total_variation': row['bound_total_variation_high'] >= all_right,
            'vacuous_value': row['bound_value_high'] >= all_right,
        }
        rows.append(row)
    return rows


def report(console: Console, name: str, runs: Sequence[dict[str, Any]], rows: Sequence[dict[str, Any]]) -> None:
    """Print the table of one setting."""
    accuracy, error, q95 = (fmean(found[part] for found in runs) for part in ('accuracy', 'error_mean', 'error_q95'))
    questions = sum(found['questions'] for found in runs)
    wrong = sum(round((1.0 - found['accuracy']) * found['questions']) for found in runs)
    table = FiguresTable(
        f'{name}\nlosses as shares of Rmax sum gamma^t; ends of 95 % intervals',
        keys=('gamma',),
        figures=('eps', 'delta, total variation', 'loss <=', 'loss <=, delta = 0', 'measured loss', 'all right'),
    )
    for row in rows:
        cells = [f'{row["gamma"]:g}']
        cells += [f'{row[part + "_low"]:.4f}..{row[part + "_high"]:.4f}' for part in ('epsilon', 'delta')]
        cells += [
            f'{row[f"bound_{part}_high"]:.3f}{" vacuous" if row["vacuous_" + part] else ""}'
            for part in ('total_variation', 'value')
        ]
        table.add_row(*cells, f'{row["true_loss"]:.4f}', f'{row["all_right"]:.3f}')
    console.print(table)
    console.print(
        f'action-prediction error: mean {error:.4f}, 95th percentile {q95:.4f} (paper: '
        f'{PAPER["action_error_mean"]}, {PAPER["action_error_q95"]}); accuracy {accuracy:.4f}'
    )
    worst = (
        f'vacuous: {wrong:,} of {questions:,} answers were wrong, so eps = 1 and the bound is 2 Rmax sum gamma^t'
        if wrong
        else f'unknown: none of {questions:,} answers was wrong, but other histories can have wrong answers'
    )
    console.print(f'worst case: {worst}')


def _trained(args: argparse.Namespace) -> list[Path]:
    """Return the weights of `synthetic` for this memory and these seeds, in all settings."""
    found = [
        file
        for seed in args.seeds
        for file in sorted(args.output.glob(f'synthetic-*/weights/{args.memory}-{seed}.safetensors'))
    ]
    if not found:
        raise ConfigError(
            f'--output {args.output} has no weights of the memory {args.memory!r} for the seeds {args.seeds}: '
            f'run `./run bench synthetic --memories {args.memory}` first, or give files with --weights'
        )
    return sorted(found)


def _train(args: argparse.Namespace, store: ResultStore, console: Console) -> list[Path]:
    """Train for a few seconds on an easy setting, for --quick."""
    import torch  # noqa: F401 - fails here if torch is missing, not in a worker

    from aura_ros.bench.synthetic_training import Budget, Task, run_task

    setting = StreamSetting(bindings=4, event=0.1, repeat=0.15, query=0.2, train_length=48, length=96)
    files = {f'quick-{args.memory}-{seed}': store.weights(f'quick-{args.memory}-{seed}') for seed in args.seeds}
    jobs = [
        Job(name, run_task, (Task(args.memory, setting, Budget(steps=300, batch=16, tests=20), 3e-3, seed), file))
        for (name, file), seed in zip(files.items(), args.seeds, strict=True)
    ]
    run_jobs(jobs, store, console, args.jobs)
    return list(files.values())


def _digest(file: Path) -> str:
    if not file.is_file():
        raise ConfigError(f'--weights {file}: is not a file')
    return hashlib.sha256(file.read_bytes()).hexdigest()
