# SPDX-License-Identifier: Apache-2.0
"""Behaviour cloning of the embedded VLA on the tasks that need no memory, and its export to ONNX."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from aura_ros.sim.world import CAMERAS, CONTROL_PERIOD, JOINT_NAMES
from aura_ros.train.demonstrations import CHUNK, IMAGE
from aura_ros.train.episodes import Frames, data_hash, episode_files, load_frames
from aura_ros.train.vla_model import FEATURE_DIM, JOINTS, EmbeddedVla
from aura_ros.vla.text import TEXT_DIM

EXECUTE_STEPS = 4


@dataclass(frozen=True)
class VlaTraining:
    """Settings of the behaviour cloning."""

    epochs: int = 7
    """Passes over the demonstrations with the whole model."""
    policy_epochs: int = 25
    """Further passes with the encoders fixed, which cost little."""
    batch: int = 128
    """Frames per optimiser step."""
    learning_rate: float = 2e-3
    """Peak of the one-cycle schedule."""
    weight_decay: float = 1e-3
    """Of AdamW."""
    scene_weight: float = 0.3
    """Weight of the auxiliary loss on the ground truth of the scene."""
    brightness: float = 0.08
    """Standard deviation of a picture's random gain [1]."""
    feature_noise: float = 0.01
    """Standard deviation of the noise on what the encoders see, in the further passes [1]."""
    seed: int = 0
    """Of initialisation and shuffling."""
    threads: int = 1
    """CPU threads of torch."""


def scene_loss(predicted: Tensor, truth: Tensor) -> Tensor:
    """Loss of the scene prediction: presence and go sign, positions of what is there, light colours."""
    objects, wanted = predicted[:, :16].unflatten(1, (4, 4)), truth[:, :16].unflatten(1, (4, 4))
    there = wanted[..., 0]
    presence = F.binary_cross_entropy_with_logits(objects[..., 0], there)
    distance = ((objects[..., 1:] - wanted[..., 1:]).abs().sum(-1) * there).sum() / there.sum().clamp(min=1)
    lights = sum(F.cross_entropy(predicted[:, i : i + 4], truth[:, i : i + 4].argmax(-1)) for i in (16, 20))
    return presence + distance + lights + F.binary_cross_entropy_with_logits(predicted[:, 24], truth[:, 24])


def action_loss(model: EmbeddedVla, chunk: Tensor, truth: Tensor) -> Tensor:
    """Mean absolute error of the chunk in units of the usual offset of each joint."""
    return ((chunk - truth).abs() / model.offset_scale).mean()


def set_scales(model: EmbeddedVla, frames: Frames) -> None:
    """Measure the usual size of joints and offsets once, on the training demonstrations."""
    offsets = frames.actions - (frames.joints * model.is_offset)[:, None]
    model.joint_mean.copy_(frames.joints.mean(0))
    model.joint_scale.copy_(frames.joints.std(0).clamp(min=1e-3))
    model.offset_scale.copy_(offsets.flatten(0, 1).std(0).clamp(min=1e-3))


@torch.no_grad()
def evaluate(model: EmbeddedVla, frames: Frames) -> dict[str, float]:
    """Mean losses on held-out frames."""
    model.eval()
    sums = np.zeros(2)
    for index in torch.arange(len(frames)).split(512):
        batch = frames.batch(index)
        _, chunk, scene = model(batch['front'], batch['wrist'], batch['joints'], batch['text'])
        sums += len(index) * np.array(
            [float(action_loss(model, chunk, batch['actions'])), float(scene_loss(scene, batch['scene']))]
        )
    return dict(zip(('action_l1', 'scene_loss'), (sums / len(frames)).tolist(), strict=True))


def fit(frames: Frames, held_out: Frames, settings: VlaTraining) -> tuple[EmbeddedVla, dict[str, float]]:
    """Train a model; returns it with its held-out losses."""
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
    """One-cycle AdamW over shuffled frames; `loss_of` gives the loss of the frames at an index."""
    parameters = list(parameters)
    optimiser = torch.optim.AdamW(parameters, weight_decay=settings.weight_decay)
    batches = count // settings.batch
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, settings.learning_rate, total_steps=epochs * batches)
    with tqdm(total=epochs * batches, desc=name, unit='step') as bar:
        for epoch in range(epochs):
            for index in torch.randperm(count).split(settings.batch)[:batches]:
                optimiser.zero_grad()
                loss_of(index).backward()
                torch.nn.utils.clip_grad_norm_(parameters, 1.0)
                optimiser.step()
                schedule.step()
                bar.update()
            bar.set_postfix(epoch=epoch + 1, **{key: f'{value:.4f}' for key, value in after().items()})


def _fit_all(model: EmbeddedVla, frames: Frames, held_out: Frames, settings: VlaTraining) -> None:
    def loss_of(index: Tensor) -> Tensor:
        model.train()
        batch = frames.batch(index)
        for camera in CAMERAS:
            batch[camera] *= 1 + settings.brightness * torch.randn(len(index), 1, 1, 1)
        with torch.autocast('cpu', torch.bfloat16):  # 2.5 times the speed on CPUs that know bfloat16
            _, chunk, scene = model(batch['front'], batch['wrist'], batch['joints'], batch['text'])
        return action_loss(model, chunk.float(), batch['actions']) + settings.scene_weight * scene_loss(
            scene.float(), batch['scene']
        )

    _optimise(
        model.parameters(),
        settings,
        len(frames),
        settings.epochs,
        loss_of,
        'train VLA',
        lambda: evaluate(model, held_out),
    )


def _fit_policy(model: EmbeddedVla, frames: Frames, settings: VlaTraining) -> None:
    """Go on with what decides, on what the encoders see, in full precision."""
    model.eval()
    with torch.no_grad():
        seen = torch.cat(
            [
                model.see(batch['front'], batch['wrist'], batch['joints'])
                for batch in map(frames.batch, torch.arange(len(frames)).split(256))
            ]
        )
        scene = model.scene(seen)

    def loss_of(index: Tensor) -> Tensor:
        # a little noise stands for pictures that were never seen
        noisy = [part[index] + settings.feature_noise * torch.randn_like(part[index]) for part in (seen, scene)]
        _, chunk = model.decide(noisy[0], noisy[1], frames.joints[index], frames.text[index])
        return action_loss(model, chunk, frames.actions[index])

    _optimise(
        model.deciding_parameters(), settings, len(frames), settings.policy_epochs, loss_of, 'train its policy', dict
    )


def export(model: EmbeddedVla, path: Path) -> None:
    """Write the frozen model as ONNX: pixels, joints and text in, features and chunk out."""

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
    """Train on `visible` and `place`, export to `output` (.onnx) with a card beside it; returns the metrics."""
    root = work_dir / 'demonstrations'
    files = [file for task in ('visible', 'place') for file in episode_files(root / f'train-{task}')]
    held = [file for task in ('visible', 'place') for file in episode_files(root / f'validation-{task}')]
    started = time.monotonic()
    frames = load_frames(files)
    model, metrics = fit(frames, load_frames(held), settings)
    export(model, output)
    card = {
        'name': 'embedded',
        'cameras': CAMERAS,
        'image_size': [IMAGE, IMAGE],
        'joint_names': JOINT_NAMES,
        'feature_dim': FEATURE_DIM,
        'chunk_size': CHUNK,
        'action_dim': JOINTS,
        'n_action_steps': EXECUTE_STEPS,
        'seconds_per_action': CONTROL_PERIOD,
        'parameters': sum(parameter.numel() for parameter in model.parameters()),
        'training': {
            'command': command,
            'settings': asdict(settings),
            'tasks': ['visible', 'place'],
            'frames': len(frames),
            'data_sha256': data_hash(files),
            'minutes': round((time.monotonic() - started) / 60, 1),
        },
        'validation': metrics,
    }
    output.with_suffix('.json').write_text(json.dumps(card, indent=2) + '\n')
    return metrics
