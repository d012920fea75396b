# SPDX-License-Identifier: Apache-2.0
"""Ablations: AURA-Mem on the hard synthetic setting with one change at a time.

  aura                the memory as shipped
  price P             the price of a write, which controls the write rate: none (0), lower, higher
  gate sees ...       fewer inputs of code x, error e and surprise |e|

Of content-addressed fast weights (--cell content):
  sharpness B         the sharpness of the address is fixed, not learned
  no feedback         a value does not see what is stored for its key
  rate 1              a write replaces what is stored
  no fading           a write leaves older rows of its item as they are
  any row             a new item takes any row, not one with a rest of an item or else the oldest
  open share S        share of the steps that are written at random before the gate decides
  gate from 30 %      the gate starts to learn when it starts to decide
  flips N             decisions of each sequence that are turned over to measure a gain
  T steps             length of the training streams

Of dense fast weights (--cell dense):
  gate from 15 %      the gate starts to learn after 15 % of the training instead of 30 %
  endpoint            the first-order value of a write at the decision of the gate, not the mean over write strengths
  straight-through    a sampled gate with a straight-through gradient, the usual estimator
  hebbian             writes add v k^T and leave the old value of the key in place
  KxK                 size of the state

The default is three seeds. Training, evaluation streams and learning rate are those of `synthetic`.
Runtime: one to four minutes for each variant and seed on one core.
Output: DIR/ablate-CELL.csv, .json, .md and .png.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
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
    from aura_ros.train.modules import MemoryModule

SUMMARY = 'AURA-Mem with one change at a time: address, gate inputs, objective, estimator, write rule, state size'

ALL_INPUTS = ('code', 'error', 'surprise')


@dataclass(frozen=True)
class Variant:
    """One changed AURA-Mem; the defaults are the memory as shipped."""

    inputs: tuple[str, ...] = ALL_INPUTS
    """Inputs of the gate."""
    gate: Mapping[str, float] = field(default_factory=dict)
    """Changed fields of `GateTraining`."""
    estimator: str = 'counterfactual'
    """Gradient of the gate of dense fast weights: 'counterfactual', 'endpoint' or 'straight-through'."""
    rule: str = 'delta'
    """Write rule of dense fast weights: 'delta' or 'hebbian'."""
    size: int = 32
    """Size K of the state of dense fast weights: keys and values have K components."""
    fixed: Mapping[str, float] = field(default_factory=dict)
    """Parameters of content-addressed fast weights that are not learned."""
    fades: bool = True
    """Whether other rows lose what they hold of the written item."""
    oldest: bool = True
    """Whether a new item takes a row with a rest of an item, or else the row that was written longest ago."""
    train_length: int = HARD.train_length
    """Steps of a training stream."""


_SHARED = {
    'aura': Variant(),
    **{f'price {price:g}': Variant(gate={'price': price}) for price in (0.0, 0.1, 1.6)},
    'gate sees x': Variant(inputs=('code',)),
    'gate sees e, |e|': Variant(inputs=('error', 'surprise')),
    'gate sees |e|': Variant(inputs=('surprise',)),
    'gate sees x, |e|': Variant(inputs=('code', 'surprise')),
}
VARIANTS: dict[str, dict[str, Variant]] = {
    'content': {
        **_SHARED,
        'sharpness 3': Variant(fixed={'log_sharpness': 1.1}),
        'sharpness 30': Variant(fixed={'log_sharpness': 3.4}),
        'no feedback': Variant(fixed={'feedback.weight': 0.0}),
        'rate 1': Variant(fixed={'rate.weight': 0.0, 'rate.bias': 20.0}),
        'no fading': Variant(fades=False),
        'any row': Variant(oldest=False),
        'open share 0.1': Variant(gate={'open_share': 0.1}),
        'open share 1': Variant(gate={'open_share': 1.0}),
        'gate from 30 %': Variant(gate={'learn_from': 1.0}),
        'flips 1': Variant(gate={'flips': 1}),
        'flips 16': Variant(gate={'flips': 16}),
        '64 steps': Variant(train_length=64),
        '512 steps': Variant(train_length=512),
    },
    'dense': {
        **_SHARED,
        'gate from 15 %': Variant(gate={'open_until': 0.15}),
        'endpoint': Variant(estimator='endpoint'),
        'straight-through': Variant(estimator='straight-through'),
        'hebbian': Variant(rule='hebbian'),
        **{f'{size}x{size}': Variant(size=size) for size in (8, 16, 64)},
    },
}
QUICK_VARIANTS = {'content': ['aura', 'no feedback'], 'dense': ['aura', 'hebbian']}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command, and set its default seeds."""
    parser.add_argument(
        '--cell', choices=tuple(VARIANTS), default='content', help='fast weights to change (default: %(default)s)'
    )
    parser.set_defaults(seeds=(0, 1, 2))


def run(args: argparse.Namespace, console: Console) -> int:
    """Train, evaluate and report. Return the exit code."""
    from aura_ros.bench.synthetic_training import Budget, Task

    names, setting, budget = list(VARIANTS[args.cell]), HARD, Budget()
    if args.quick:
        names, setting, budget = QUICK_VARIANTS[args.cell], QUICK, Budget(steps=100, tests=8)
        args.seeds = args.seeds[:1]
    store = ResultStore(args.output, f'ablate-{args.cell}', {'setting': setting, 'budget': budget}, args.fresh)
    memory = {'content': 'aura-content', 'dense': 'aura'}[args.cell]
    task = Task(memory, setting, budget, LEARNING_RATES[memory], 0)
    jobs = [
        Job(f'{name}-{seed}', run_variant, (args.cell, name, replace(task, seed=seed)))
        for seed in args.seeds
        for name in names
    ]
    rows = run_jobs(jobs, store, console, args.jobs)
    table = summarise(list(rows.values()))
    store.write(table, {'seeds': list(args.seeds), 'runs': list(rows.values())})
    replace_text(store.file('.md'), markdown(table))
    show(f'ablate {args.cell}', table, console)
    draw(table, store)
    return 0


def run_variant(cell: str, name: str, task: Task) -> dict[str, Any]:
    """Train and evaluate one variant; return its row. A job function."""
    import torch

    from aura_ros.bench.ablations import StraightThroughLearner
    from aura_ros.bench.streams import draw as draw_streams
    from aura_ros.bench.streams import generator
    from aura_ros.bench.synthetic_training import evaluate, train
    from aura_ros.train.learner import Learner

    variant, field_name = VARIANTS[cell][name], {'content': 'content_gate', 'dense': 'gate'}[cell]
    torch.set_num_threads(1)
    torch.manual_seed(task.seed)
    module = build(cell, variant)
    changed = replace(getattr(task.budget, field_name), **variant.gate)
    task = replace(task, budget=replace(task.budget, **{field_name: changed}))
    if variant.train_length != Variant.train_length:
        task = replace(task, setting=replace(task.setting, train_length=variant.train_length))
    train(module, task, StraightThroughLearner if variant.estimator == 'straight-through' else Learner)
    streams = draw_streams(task.setting, task.budget.tests, task.setting.length, generator(task.split, task.seed))
    return {
        'memory': name,
        'seed': task.seed,
        'parameters': module.parameter_count,
        'state_bytes': 4 * variant.size * (variant.size + 1),
        **evaluate(module, task, streams),
    }


def build(cell: str, variant: Variant) -> MemoryModule:
    """Return the untrained module of a variant."""
    from aura_ros.bench import ablations
    from aura_ros.bench.synthetic_training import SIZES
    from aura_ros.train.modules import AuraModule

    if cell == 'content':
        return ablations.ChangedContent(SIZES, variant.inputs, variant.fixed, variant.fades, variant.oldest)
    sizes = replace(SIZES, key_dim=variant.size, value_dim=variant.size)
    if variant.inputs != ALL_INPUTS:
        return ablations.FewerGateInputs(sizes, variant.inputs)
    if variant.rule == 'hebbian':
        return ablations.Hebbian(sizes)
    makers = {
        'counterfactual': AuraModule,
        'endpoint': ablations.Endpoint,
        'straight-through': ablations.StraightThrough,
    }
    return makers[variant.estimator](sizes)


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
