# SPDX-License-Identifier: Apache-2.0
"""Ablations: AURA-Mem on the hard synthetic setting with one change at a time.

  aura                the memory as shipped
  price P             the price of a write, which controls the write rate: none (0), lower, higher
  gate from 15 %      the gate starts to learn after 15 % of the training instead of 30 %
  gate sees ...       fewer inputs of code x, error e and surprise |e|
  endpoint            the first-order value of a write at the decision of the gate, not the mean over write strengths
  straight-through    a sampled gate with a straight-through gradient, the usual estimator
  hebbian             writes add v k^T and leave the old value of the key in place
  KxK                 size of the state

The default is three seeds. Training, evaluation streams and learning rate are those of `synthetic`.
Runtime: about a minute for each variant and seed on one core, 25 minutes in total on two.
Output: DIR/ablate.csv, .json, .md and .png.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from rich.console import Console

from aura_ros.bench.jobs import Job, run_jobs
from aura_ros.bench.plots import COLOURS, saved_figure
from aura_ros.bench.store import ResultStore
from aura_ros.bench.synthetic import HARD, LEARNING_RATES, QUICK
from aura_ros.bench.synthetic_report import markdown, show, summarise
from aura_ros.common.files import replace_text

if TYPE_CHECKING:
    from aura_ros.bench.synthetic_training import Task
    from aura_ros.train.modules import AuraModule

SUMMARY = 'AURA-Mem with one change at a time: gate inputs, objective, estimator, write rule, state size'


@dataclass(frozen=True)
class Variant:
    """One changed AURA-Mem; the defaults are the memory as shipped."""

    inputs: tuple[str, ...] = ('code', 'error', 'surprise')
    """Inputs of the gate."""
    estimator: str = 'counterfactual'
    """Gradient of the gate: 'counterfactual', 'endpoint' or 'straight-through'."""
    rule: str = 'delta'
    """Write rule: 'delta' or 'hebbian'."""
    price: float | None = None
    """Price of a write [nat]; None is the price of `synthetic`."""
    open_until: float | None = None
    """Fraction of the training before the gate starts to learn; None is the value of `synthetic`."""
    size: int = 32
    """Size K of the state: keys and values have K components."""


VARIANTS = {
    'aura': Variant(),
    **{f'price {price:g}': Variant(price=price) for price in (0.0, 0.1, 1.6)},
    'gate from 15 %': Variant(open_until=0.15),
    'gate sees x': Variant(inputs=('code',)),
    'gate sees e, |e|': Variant(inputs=('error', 'surprise')),
    'gate sees |e|': Variant(inputs=('surprise',)),
    'gate sees x, |e|': Variant(inputs=('code', 'surprise')),
    'endpoint': Variant(estimator='endpoint'),
    'straight-through': Variant(estimator='straight-through'),
    'hebbian': Variant(rule='hebbian'),
    **{f'{size}x{size}': Variant(size=size) for size in (8, 16, 64)},
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Set the default seeds of this command."""
    parser.set_defaults(seeds=(0, 1, 2))


def run(args: argparse.Namespace, console: Console) -> int:
    """Train, evaluate and report. Return the exit code."""
    from aura_ros.bench.synthetic_training import Budget, Task

    names, setting, budget = list(VARIANTS), HARD, Budget()
    if args.quick:
        names, setting, budget = ['aura', 'hebbian'], QUICK, Budget(steps=100, tests=8)
        args.seeds = args.seeds[:1]
    store = ResultStore(args.output, 'ablate', {'setting': setting, 'budget': budget}, args.fresh)
    task = Task('aura', setting, budget, LEARNING_RATES['aura'], 0)
    rows = run_jobs(
        [Job(f'{name}-{seed}', run_variant, (name, replace(task, seed=seed))) for name in names for seed in args.seeds],
        store,
        console,
        args.jobs,
    )
    table = summarise(list(rows.values()))
    store.write(table, {'seeds': list(args.seeds), 'runs': list(rows.values())})
    replace_text(store.file('.md'), markdown(table))
    show('ablate', table, console)
    draw(table, store)
    return 0


def run_variant(name: str, task: Task) -> dict[str, Any]:
    """Train and evaluate one variant; return its row. A job function."""
    import torch

    from aura_ros.bench.ablations import StraightThroughLearner
    from aura_ros.bench.streams import draw as draw_streams
    from aura_ros.bench.streams import generator
    from aura_ros.bench.synthetic_training import evaluate, train
    from aura_ros.train.learner import Learner

    variant = VARIANTS[name]
    torch.set_num_threads(1)
    torch.manual_seed(task.seed)
    module = build(variant)
    changes = {name: value for name in ('price', 'open_until') if (value := getattr(variant, name)) is not None}
    task = replace(task, budget=replace(task.budget, gate=replace(task.budget.gate, **changes)))
    train(module, task, StraightThroughLearner if variant.estimator == 'straight-through' else Learner)
    streams = draw_streams(task.setting, task.budget.tests, task.setting.length, generator(task.split, task.seed))
    size = module.sizes.value_dim * (module.sizes.key_dim + 1)
    return {
        'memory': name,
        'seed': task.seed,
        'parameters': module.parameter_count,
        'state_bytes': 4 * size,
        **evaluate(module, task, streams),
    }


def build(variant: Variant) -> AuraModule:
    """Return the untrained module of a variant."""
    from aura_ros.bench.ablations import Endpoint, FewerGateInputs, Hebbian, StraightThrough
    from aura_ros.bench.synthetic_training import SIZES
    from aura_ros.train.modules import AuraModule

    sizes = replace(SIZES, key_dim=variant.size, value_dim=variant.size)
    if variant.inputs != Variant.inputs:
        return FewerGateInputs(sizes, variant.inputs)
    if variant.rule == 'hebbian':
        return Hebbian(sizes)
    return {'counterfactual': AuraModule, 'endpoint': Endpoint, 'straight-through': StraightThrough}[variant.estimator](
        sizes
    )


def draw(table: list[dict[str, Any]], store: ResultStore) -> None:
    """Plot accuracy and writes of every variant as bars."""
    with saved_figure(store.file('.png'), 2, (13.0, 5.2)) as (left, right):
        places = range(len(table))
        left.barh(places, [row['accuracy'] for row in table], color=COLOURS[0])
        left.set_yticks(places, [row['memory'] for row in table])
        left.set(xlabel='accuracy of the answers', xlim=(0, 1.0))
        right.barh(places, [row['over_oracle'] for row in table], color=COLOURS[1])
        right.axvline(1.0, color='black', lw=0.9, ls=':')
        right.set_yticks(places, [])
        right.set(xlabel='writes relative to the oracle', xscale='log')
        for axes in (left, right):
            axes.invert_yaxis()
