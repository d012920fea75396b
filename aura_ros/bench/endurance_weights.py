# SPDX-License-Identifier: Apache-2.0
"""The weights that walk: those that `synthetic` trained, trained where they are missing, or a given file."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from aura_ros.bench.jobs import run_jobs
from aura_ros.bench.rival_modules import build_rival
from aura_ros.bench.store import ResultStore
from aura_ros.bench.streams import CLASSES, FEATURE_DIM
from aura_ros.bench.synthetic import MATCHED, training_job, training_store
from aura_ros.bench.synthetic_training import SIZES, VARIANTS, Budget
from aura_ros.common.errors import ConfigError
from aura_ros.common.text_files import read_object
from aura_ros.train.modules import MemoryModule, Sizes
from aura_ros.train.saving import load_module

Keys = Iterable[tuple[str, int]]
"""Memories with their training seeds."""


def trained(
    name: str,
    memories: Sequence[str],
    seeds: Sequence[int],
    budget: Budget,
    folder: Path,
    console: Console,
    workers: int,
) -> dict[tuple[str, int], Path]:
    """Return the weights of memories by name and seed; missing ones are trained as `synthetic` does, and kept there.

    Args:
        name: setting, a key of `synthetic.SETTINGS` or 'quick'.
        memories: memories of `synthetic`.
        seeds: training seeds.
        budget: training that the weights must have had.
        folder: output folder of `synthetic`.
        console: output of the progress.
        workers: number of parallel processes.
    """
    store = training_store(folder, name, budget)
    wanted = [(memory, seed) for seed in seeds for memory in memories]
    missing = [key for key in wanted if not _fits(_path(store, *key), store)]
    matched = [key for key in missing if key[0] in MATCHED]
    gates = [('aura', seed) for _, seed in matched if not _fits(_path(store, 'aura', seed), store)]
    free = dict.fromkeys([*gates, *(key for key in missing if key[0] not in MATCHED)])
    _train(name, free, {}, budget, store, console, workers)
    rates = {seed: _card(_path(store, 'aura', seed))['figures']['validation_rate'] for _, seed in matched}
    _train(name, matched, rates, budget, store, console, workers)
    return {key: _path(store, *key) for key in wanted}


def _train(
    name: str,
    missing: Keys,
    rates: Mapping[int, float],
    budget: Budget,
    store: ResultStore,
    console: Console,
    workers: int,
) -> None:
    jobs = [training_job(name, memory, seed, budget, store, rates.get(seed, 0.0)) for memory, seed in missing]
    for job in jobs:
        store.forget(job.key)
    run_jobs(jobs, store, console, workers)


def _path(store: ResultStore, memory: str, seed: int) -> Path:
    return store.weights(f'{memory}-{seed}')


def _card(weights: Path) -> dict[str, Any]:
    return read_object(weights.with_suffix('.json'))


def _fits(weights: Path, store: ResultStore) -> bool:
    """Return whether weights are there, and were trained on this setting with this budget."""
    if not (weights.is_file() and weights.with_suffix('.json').is_file()):
        return False
    card = _card(weights)
    return all(card.get(part) == store.settings[part] for part in ('setting', 'budget'))


def load_trained(memory: str, path: Path) -> MemoryModule:
    """Return the module of a memory of `synthetic` with its weights. A gated memory may have sizes of its own.

    Raises:
        ConfigError: the file is missing or damaged, or is not for this memory and these streams.
    """
    sizes = SIZES
    if memory in ('aura', 'aura-content', 'reconstruction'):
        sizes = _sizes(path)
    module = build_rival(memory, sizes, VARIANTS, 0.0)
    load_module(module, path, '')
    module.eval()
    return module


def _sizes(path: Path) -> Sizes:
    given = _card(path).get('sizes')
    try:
        sizes = Sizes(**given) if isinstance(given, dict) else Sizes()
    except TypeError as error:
        raise ConfigError(f'{path}: sizes in its card: {error}') from error
    needed = (FEATURE_DIM, 1, CLASSES)
    if (found := (sizes.feature_dim, sizes.chunk_size, sizes.action_dim)) != needed:
        raise ConfigError(
            f'{path}: is for feature_dim, chunk_size, action_dim = {found}: must be {needed}, as the streams have'
        )
    return sizes
