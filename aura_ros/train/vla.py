# SPDX-License-Identifier: Apache-2.0
"""Behaviour cloning of the embedded VLA, and its export to ONNX.

Actions are learned from the tasks that need no memory. From the memory tasks the VLA learns only what their scenes
contain, because their actions depend on what it cannot see.
"""

import json
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from aura_ros.common.console import make_console
from aura_ros.common.names import TASKS, VLA_TASKS
from aura_ros.common.progress import Bar
from aura_ros.sim.world import CAMERAS, CONTROL_PERIOD, JOINT_NAMES
from aura_ros.train.demonstrations import CHUNK, IMAGE, LAMPS_DIM, SCENE_DIM
from aura_ros.train.episodes import Frames, data_hash, episode_files, load_frames
from aura_ros.train.vla_model import FEATURE_DIM, JOINTS, EmbeddedVla
from aura_ros.vla.text import TEXT_DIM

N_ACTION_STEPS = 4
LAMP_COLUMNS = tuple(range(SCENE_DIM, SCENE_DIM + LAMPS_DIM, 4))
LIGHT_COLUMNS = (16, 20)
"""Where the colours of beacon and lamp begin in the prediction of the scene; `LAMP_COLUMNS` for the three lamps."""
LAMP_WEIGHTS = (0.2, 1.0, 1.0, 1.0)
"""Weights of the classes dark, red, green and blue of the three lamps, which are dark in most frames."""
MEMORY_TASKS = tuple(task for task in TASKS if task not in VLA_TASKS)


@dataclass(frozen=True)
class VlaTraining:
    """Settings of the behaviour cloning."""

    epochs: int = 3
    """Passes over the demonstrations with the whole model."""
    policy_epochs: int = 20
    """Further passes with fixed encoders, which cost little."""
    batch: int = 128
    """Frames per optimiser step."""
    learning_rate: float = 2e-3
    """Peak of the one-cycle schedule."""
    weight_decay: float = 1e-3
    """Weight decay of AdamW."""
    scene_weight: float = 0.3
    """Weight of the auxiliary loss on the ground truth of the scene."""
    scene_every: int = 5
    """Of the frames of memory tasks, every n-th is used for the auxiliary loss."""
    brightness: float = 0.08
    """Standard deviation of the random gain of an image [1]."""
    feature_noise: float = 0.01
    """Standard deviation of the noise on the outputs of the encoders, in the further passes [1]."""
    seed: int = 0
    """Seed of initialisation and shuffling."""
    threads: int = 1
    """CPU threads of torch."""


def scene_loss(predicted: Tensor, truth: Tensor) -> Tensor:
    """Return the loss of the scene prediction [B, 37]: presence, positions of present objects, colours, go sign."""
    objects, wanted = predicted[:, :16].unflatten(1, (4, 4)), truth[:, :16].unflatten(1, (4, 4))
    there = wanted[..., 0]
    presence = F.binary_cross_entropy_with_logits(objects[..., 0], there)
    distance = ((objects[..., 1:] - wanted[..., 1:]).abs().sum(-1) * there).sum() / there.sum().clamp(min=1)
    lights = sum(F.cross_entropy(predicted[:, i : i + 4], truth[:, i : i + 4].argmax(-1)) for i in LIGHT_COLUMNS)
    weights = predicted.new_tensor(LAMP_WEIGHTS)
    for i in LAMP_COLUMNS:
        lights = lights + F.cross_entropy(predicted[:, i : i + 4], truth[:, i : i + 4].argmax(-1), weights)
    return presence + distance + lights + F.binary_cross_entropy_with_logits(predicted[:, 24], truth[:, 24])


def action_loss(model: EmbeddedVla, chunk: Tensor, truth: Tensor, acts: Tensor) -> Tensor:
    """Return the mean absolute error of the chunks that count, in units of the usual offset of each joint."""
    errors = ((chunk - truth).abs() / model.offset_scale).mean((-1, -2))
    return (errors * acts).sum() / acts.sum().clamp(min=1)


def set_scales(model: EmbeddedVla, frames: Frames) -> None:
    """Set the usual sizes of joints and offsets from the frames whose actions are learned."""
    joints = frames.joints[frames.acts]
    offsets = frames.actions[frames.acts] - (joints * model.is_offset)[:, None]
    model.joint_mean.copy_(joints.mean(0))
    model.joint_scale.copy_(joints.std(0).clamp(min=1e-3))
    model.offset_scale.copy_(offsets.flatten(0, 1).std(0).clamp(min=1e-3))


@torch.no_grad()
def evaluate(model: EmbeddedVla, frames: Frames) -> dict[str, float]:
    """Return the mean losses on held-out frames, and the share of the lit lamps whose colour is recognised."""
    model.eval()
    sums, lit, named = np.zeros(2), 0, 0
    for index in torch.arange(len(frames)).split(512):
        batch = frames.batch(index)
        _, chunk, scene = model(batch['front'], batch['wrist'], batch['joints'], batch['text'])
        action = action_loss(model, chunk, batch['actions'], batch['acts'])
        sums += len(index) * np.array([float(action), float(scene_loss(scene, batch['scene']))])
        truth, seen = (lamps[:, SCENE_DIM:].unflatten(1, (3, 4)).argmax(-1) for lamps in (batch['scene'], scene))
        lit += int((truth > 0).sum())
        named += int(((truth == seen) & (truth > 0)).sum())
    losses = dict(zip(('action_l1', 'scene_loss'), (sums / len(frames)).tolist(), strict=True))
    return losses | ({'lamp_accuracy': named / lit} if lit else {})


def fit(frames: Frames, held_out: Frames, settings: VlaTraining) -> tuple[EmbeddedVla, dict[str, float]]:
    """Train a model. Return it with its losses on the held-out frames."""
    torch.manual_seed(settings.seed)
    torch.set_num_threads(settings.threads)
    model = EmbeddedVla().to(memory_format=torch.channels_last)
    set_scales(model, frames)
    _fit_all(model, frames, held_out, settings)
    _fit_policy(model, frames, settings)
    return model.eval(), evaluate(model, held_out)


def _optimise(
    parameters: Iterable[Tensor],
    settings: VlaTraining,
    count: int,
    epochs: int,
    loss_of: Callable[[Tensor], Tensor],
    name: str,
    after: Callable[[], dict[str, float]],
) -> None:
    """Train with AdamW and a one-cycle schedule on shuffled frames. `loss_of` returns the loss of some frames."""
    parameters = list(parameters)
    optimiser = torch.optim.AdamW(parameters, weight_decay=settings.weight_decay)
    batches = count // settings.batch
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, settings.learning_rate, total_steps=epochs * batches)
    with Bar(make_console(), name, epochs * batches) as bar:
        text = ''
        for epoch in range(epochs):
            for index in torch.randperm(count).split(settings.batch)[:batches]:
                optimiser.zero_grad()
                loss_of(index).backward()
                torch.nn.utils.clip_grad_norm_(parameters, 1.0)
                optimiser.step()
                schedule.step()
                bar.advance(text=text)
            text = ', '.join([f'epoch {epoch + 1}', *(f'{key} {value:.4f}' for key, value in after().items())])


def _fit_all(model: EmbeddedVla, frames: Frames, held_out: Frames, settings: VlaTraining) -> None:
    def loss_of(index: Tensor) -> Tensor:
        model.train()
        batch = frames.batch(index)
        for camera in CAMERAS:
            batch[camera] *= 1 + settings.brightness * torch.randn(len(index), 1, 1, 1)
        with torch.autocast('cpu', torch.bfloat16):  # 2.5 times faster on processors with bfloat16
            _, chunk, scene = model(batch['front'], batch['wrist'], batch['joints'], batch['text'])
        loss = action_loss(model, chunk.float(), batch['actions'], batch['acts'])
        return loss + settings.scene_weight * scene_loss(scene.float(), batch['scene'])

    validate = partial(evaluate, model, held_out)
    _optimise(model.parameters(), settings, len(frames), settings.epochs, loss_of, 'train VLA', validate)


def _fit_policy(model: EmbeddedVla, frames: Frames, settings: VlaTraining) -> None:
    """Train the layers after the encoders, on the outputs of the encoders, in full precision."""
    model.eval()
    acting = frames.acts.nonzero()[:, 0]
    joints, text, actions, acts = (part[acting] for part in (frames.joints, frames.text, frames.actions, frames.acts))
    with torch.no_grad():
        batches = map(frames.batch, acting.split(256))
        seen = torch.cat([model.see(batch['front'], batch['wrist'], batch['joints']) for batch in batches])
        scene = model.scene(seen)

    def loss_of(index: Tensor) -> Tensor:
        # a little noise takes the place of unseen images
        noisy = [part[index] + settings.feature_noise * torch.randn_like(part[index]) for part in (seen, scene)]
        _, chunk = model.decide(noisy[0], noisy[1], joints[index], model.read(text[index]))
        return action_loss(model, chunk, actions[index], acts[index])

    _optimise(
        model.deciding_parameters(), settings, len(acting), settings.policy_epochs, loss_of, 'train action layers', dict
    )


def export(model: EmbeddedVla, path: Path) -> None:
    """Write the frozen model as ONNX, with pixels, joints and text as inputs, and features and chunk as outputs."""

    class Deployed(torch.nn.Module):
        """The model without its auxiliary head."""

        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, front: Tensor, wrist: Tensor, joints: Tensor, text: Tensor) -> tuple[Tensor, Tensor]:
            features, chunk, _ = self.model(front, wrist, joints, text)
            return features, chunk

    image = torch.zeros(1, 3, IMAGE, IMAGE)
    torch.onnx.export(
        Deployed().eval(),
        (image, image, torch.zeros(1, JOINTS), torch.zeros(1, TEXT_DIM)),
        str(path),
        input_names=['front', 'wrist', 'joints', 'text'],
        output_names=['features', 'actions'],
        dynamic_axes={name: {0: 'batch'} for name in ('front', 'wrist', 'joints', 'text', 'features', 'actions')},
        dynamo=False,
    )


def train_vla(work_dir: Path, output: Path, settings: VlaTraining, command: str) -> dict[str, float]:
    """Train on VLA_TASKS, and export to `output` (.onnx) with a card beside it. Return the metrics."""
    root = work_dir / 'demonstrations'
    files = [file for task in VLA_TASKS for file in episode_files(root / f'train-{task}')]
    others = [file for task in MEMORY_TASKS for file in episode_files(root / f'train-{task}')]
    held_out = [file for task in VLA_TASKS for file in episode_files(root / f'validation-{task}')]
    started = time.monotonic()
    frames = load_frames(files, others, settings.scene_every)
    model, metrics = fit(frames, load_frames(held_out), settings)
    export(model, output)
    card = {
        'name': 'embedded',
        'cameras': CAMERAS,
        'image_size': [IMAGE, IMAGE],
        'joint_names': JOINT_NAMES,
        'feature_dim': FEATURE_DIM,
        'chunk_size': CHUNK,
        'action_dim': JOINTS,
        'n_action_steps': N_ACTION_STEPS,
        'seconds_per_action': CONTROL_PERIOD,
        'parameters': sum(parameter.numel() for parameter in model.parameters()),
        'training': {
            'command': command,
            'settings': asdict(settings),
            'tasks': VLA_TASKS,
            'frames': int(frames.acts.sum()),
            'auxiliary_tasks': MEMORY_TASKS,
            'auxiliary_frames': int((~frames.acts).sum()),
            'data_sha256': data_hash([*files, *others]),
            'minutes': round((time.monotonic() - started) / 60, 1),
        },
        'validation': metrics,
    }
    output.with_suffix('.json').write_text(json.dumps(card, indent=2) + '\n')
    return metrics
