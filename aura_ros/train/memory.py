# SPDX-License-Identifier: Apache-2.0
"""Training of a memory on the features of the frozen backbone."""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from aura_ros.common.console import make_console
from aura_ros.common.errors import ConfigError
from aura_ros.common.names import PANEL_TASKS, TRAINED_MEMORIES
from aura_ros.common.progress import Bar
from aura_ros.memory.weights import load_weights
from aura_ros.train.evaluation import action_errors, evaluate
from aura_ros.train.initial import set_keys, set_scales
from aura_ros.train.learner import Learner
from aura_ros.train.lessons import Lessons
from aura_ros.train.matching import build_module
from aura_ros.train.memory_settings import MemoryTraining
from aura_ros.train.modules import MemoryModule, Sizes
from aura_ros.train.modules.elmur_layer import Dropout
from aura_ros.train.recolour import Recolour
from aura_ros.train.recordings import TASK as RECORDED
from aura_ros.train.recordings import FeatureFile, rounds_within, split
from aura_ros.train.saving import load_module, modes_of, save_memory
from aura_ros.train.sequences import Part, Stream, collate, load_streams, name_waits, segments, thin
from aura_ros.train.state_pool import StatePool
from aura_ros.train.task_shares import TaskShares
from aura_ros.train.teacher import teacher_of
from aura_ros.vla.embedded import EmbeddedVla
from aura_ros.vla.protocol import BackboneSpec

_PRICE_FULL = 0.05
"""Fraction of a training that continues from weights, at which the price of a write is full."""


def fit(model: MemoryModule, streams: list[Stream], settings: MemoryTraining, fresh: bool = True) -> None:
    """Train in place.

    Args:
        model: module of the memory.
        streams: training data.
        settings: settings of the training.
        fresh: True for a new module; False keeps the scales of an earlier training.
    """
    torch.manual_seed(settings.seed)
    torch.set_num_threads(settings.threads)
    rng = np.random.default_rng(settings.seed)
    if fresh:
        set_scales(model, streams)
        set_keys(model, streams, settings)
    if settings.name_waits:
        streams = [name_waits(stream) for stream in streams]
    tasks_known = tuple(dict.fromkeys(stream.task for stream in streams))
    pools = {task: segments([one for one in streams if one.task == task], settings.rounds) for task in tasks_known}
    early = [task for task in tasks_known if task != 'put_back']
    lessons = Lessons(model.readout_dim, settings.read_weight, settings.key_weight)
    learner = Learner(model, settings.optimisation, settings.gate, lessons)
    model.train()
    steps = settings.optimisation.steps
    recolour = Recolour(streams, settings.recolour, rng)
    states = StatePool(settings.used, rng, settings.mixed)
    shares = TaskShares(tasks_known, settings.by_error, rng)
    text = ''
    with Bar(make_console(), f'train {type(model).__name__}', steps) as bar:
        for step in range(steps):
            known = tasks_known if step >= settings.put_back_from * steps else early
            drawn = [pools[task] for task in shares.draw(known, settings.batch)]
            parts = [recolour(thin(pool[rng.integers(len(pool))], _kept_share(settings, rng), rng)) for pool in drawn]
            batch, tasks = collate(parts, settings.idle_weight), [stream.task for stream, _ in parts]
            scale = _spread(parts) if settings.noise_within else model.feature_scale
            noise = settings.feature_noise * scale * torch.randn_like(batch.z)
            losses = shares.watch(partial(action_errors, batch=batch, scale=model.action_scale), batch.weight, tasks)
            _, written = learner.step(
                batch.z + noise,
                batch.base,
                losses,
                float(batch.weight.sum()),
                asked=batch.weight > 0,
                state=states.draw(tasks, model.emptied),
                teacher=teacher_of(batch.windows, settings.late) if settings.taught else None,
                lesson=partial(lessons.loss, model, labels=batch.labels),
            )
            states.add(tasks, learner.state)
            if step % 20 == 0:
                errors = ', '.join(f'{task} {error:.2f}' for task, error in shares.errors.items())
                text = f'writes {written:.3f}, error {errors}'
            bar.advance(text=text)
    model.eval()


def _spread(parts: list[Part]) -> Tensor:
    """Return the standard deviation of each feature within each sequence, [B, 1, D]."""
    return torch.stack([torch.from_numpy(stream.z[steps].std(0)) for stream, steps in parts])[:, None]


def _kept_share(settings: MemoryTraining, rng: np.random.Generator) -> float:
    """Return the share of the steps between cue and go sign that one sequence keeps."""
    spread = settings.keep_idle_most - settings.keep_idle
    return settings.keep_idle + spread * rng.random() if spread else settings.keep_idle


def train_memory(
    kind: str,
    work_dir: Path,
    vla: EmbeddedVla,
    output: Path,
    settings: MemoryTraining,
    command: str,
    start_from: Path | None = None,
) -> dict[str, Any]:
    """Train a memory, and write its weights (.safetensors) and card. Return the validation report.

    Args:
        kind: one of TRAINED_MEMORIES.
        work_dir: parent of the demonstrations.
        vla: frozen backbone.
        output: .safetensors file to write.
        settings: settings of the training.
        command: command line, for the card.
        start_from: weights of the same kind and backbone to continue from, with the episodes that they have driven as
            well; None starts from new weights.

    Raises:
        ConfigError: if the kind is unknown, demonstrations are missing, or `start_from` does not fit.
    """
    check_kind(kind)
    driven_by = None if start_from is None else kind
    streams = [stream for task in PANEL_TASKS for stream in load_streams(vla, work_dir, 'train', task, driven_by)]
    held_out = [stream for task in PANEL_TASKS for stream in load_streams(vla, work_dir, 'validation', task)]
    source: dict[str, Any] = {'tasks': list(PANEL_TASKS)}
    if start_from is not None:
        source['before'] = load_weights(kind, str(start_from)).card.get('training', {})
    data = TrainingSet(streams, held_out, source)
    return _train(kind, vla.spec, data, output, settings, command, start_from)


@dataclass(frozen=True)
class TrainingSet:
    """The data of a training."""

    train: list[Stream]
    """Training data."""
    held_out: list[Stream]
    """Data for the evaluation only."""
    source: dict[str, Any]
    """Origin of the data, for the card."""


def train_on_recordings(
    kind: str,
    kept: Sequence[FeatureFile],
    spec: BackboneSpec,
    output: Path,
    settings: MemoryTraining,
    command: str,
    *,
    holdout: float = 0.2,
    round_steps: int = 50,
    start_from: Path | None = None,
) -> dict[str, Any]:
    """Train a memory on recordings, and write its weights and card. Return the report on the held-out parts.

    Args:
        kind: one of TRAINED_MEMORIES.
        kept: features of the recordings.
        spec: specification of the frozen backbone.
        output: .safetensors file to write.
        settings: settings of the training; settings for steps without the go sign have no effect, because
            only steps with a recorded action count.
        command: command line, for the card.
        holdout: share of each episode, at its end, that is held out [0..1].
        round_steps: number of steps that count as a round.
        start_from: weights of the same kind and backbone to continue from; None starts from new weights.

    Raises:
        ConfigError: if the kind is unknown, there is too little data, or `start_from` does not fit.
    """
    check_kind(kind)
    parts = split(kept, holdout, round_steps)
    train, held_out = ([Stream(RECORDED, **part) for part in some] for some in parts)
    settings = replace(settings, rounds=rounds_within(parts[0], settings.rounds), idle_weight=0.0)
    settings = replace(settings, keep_idle=1.0, keep_idle_most=1.0, taught=False)
    if start_from is not None:  # a trained gate decides from the first step
        gate = replace(settings.gate, open_until=0.0, price_full=_PRICE_FULL)
        settings = replace(settings, gate=gate, modes=modes_of(kind, start_from))
    source = recorded_source(kept, holdout, round_steps, start_from)
    return _train(kind, spec, TrainingSet(train, held_out, source), output, settings, command, start_from)


def recorded_source(
    kept: Sequence[FeatureFile], holdout: float, round_steps: int, start_from: Path | None
) -> dict[str, Any]:
    """Return the origin of training data from recordings, for the card; see `train_on_recordings`."""
    return {
        'tasks': [RECORDED],
        'holdout': holdout,
        'round_steps': round_steps,
        'start_from': start_from.name if start_from else '',
        'recordings': [
            {name: one.about[name] for name in ('bag', 'sha256', 'steps', 'covered', 'mapping')} for one in kept
        ],
    }


def check_kind(kind: str) -> str:
    """Return the name of a memory.

    Raises:
        ConfigError: it is not one of TRAINED_MEMORIES.
    """
    if kind not in TRAINED_MEMORIES:
        raise ConfigError(f'--memory must be one of both, {", ".join(TRAINED_MEMORIES)}; got {kind!r}')
    return kind


def _build(kind: str, sizes: Sizes, settings: MemoryTraining) -> MemoryModule:
    if kind == 'elmur':
        share = settings.dropout
        return build_module(kind, sizes, dropout=Dropout(branch=share, attention=share, memory=share / 4))
    if kind not in ('aura', 'always'):
        return build_module(kind, sizes)
    maps = {'modes': settings.modes} if settings.addressing == 'content' else {}
    return build_module(kind, sizes, addressing=settings.addressing, **maps)


def _train(
    kind: str,
    spec: BackboneSpec,
    data: TrainingSet,
    output: Path,
    settings: MemoryTraining,
    command: str,
    start_from: Path | None = None,
) -> dict[str, Any]:
    started = time.monotonic()
    torch.manual_seed(settings.seed)
    sizes = Sizes(spec.feature_dim, spec.chunk_size, spec.action_dim, actions=spec.action_spec)
    model = _build(kind, sizes, settings)
    if start_from is not None:
        load_module(model, start_from, spec.backbone_hash)
    fit(model, data.train, settings, fresh=start_from is None)
    report = evaluate(model, data.held_out)
    save_memory(
        model,
        output,
        {
            'backbone_sha256': spec.backbone_hash,
            'training': {
                'command': command,
                'settings': asdict(settings),
                **data.source,
                'episodes': len(data.train),
                'steps_seen': sum(len(stream.z) for stream in data.train),
                'minutes': round((time.monotonic() - started) / 60, 1),
            },
            'validation': report,
        },
    )
    return report
