# SPDX-License-Identifier: Apache-2.0
"""Read demonstration episodes into tensors."""

import hashlib
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from aura_ros.common.errors import ConfigError
from aura_ros.common.files import open_arrays
from aura_ros.vla.text import embed


@dataclass(frozen=True)
class Frames:
    """N frames of demonstrations. Images stay uint8 until they are in a batch."""

    front: Tensor
    """Uint8 [N, 64, 64, 3]."""
    wrist: Tensor
    """Uint8 [N, 64, 64, 3]."""
    joints: Tensor
    """Float32 [N, 8]."""
    actions: Tensor
    """Float32 [N, 8, 8]."""
    scene: Tensor
    """Float32 [N, 37]: the scene, and the colours of the three lamps."""
    text: Tensor
    """Float32 [N, 256]."""
    acts: Tensor
    """Bool [N]: whether the action loss counts. The others are for the auxiliary loss only."""

    def __len__(self) -> int:
        return len(self.joints)

    def batch(self, index: Tensor) -> dict[str, Tensor]:
        """Return the frames at `index`, with images as float [B, 3, 64, 64] in 0..1."""
        columns = {name: column[index] for name, column in vars(self).items()}
        return columns | {camera: as_image(columns[camera]) for camera in ('front', 'wrist')}


def as_image(pixels: Tensor) -> Tensor:
    """Map uint8 [B, 64, 64, 3] to float [B, 3, 64, 64] in 0..1."""
    return pixels.permute(0, 3, 1, 2).float() / 255  # a view, so that channels stay last in memory


def episode_files(folder: Path) -> list[Path]:
    """Return the episode files of a folder in the order of their seeds.

    Raises:
        ConfigError: if there are none.
    """
    found = sorted(folder.glob('*.npz'))
    if not found:
        raise ConfigError(f'no demonstrations in {folder}; collect them first: aura train demonstrations')
    return found


def load_frames(files: list[Path], others: list[Path] | None = None, every: int = 1) -> Frames:
    """Read episode files into one set of frames.

    Args:
        files: episodes whose actions are learned.
        others: episodes for the auxiliary loss only.
        every: of these, every n-th frame is used.
    """
    columns: dict[str, list[Tensor]] = {field.name: [] for field in fields(Frames)}
    for file, acts in [*((file, True) for file in files), *((file, False) for file in others or ())]:
        with open_arrays(file) as arrays:
            cut = slice(None, None, 1 if acts else every)
            for key in ('front', 'wrist', 'joints', 'actions'):
                columns[key].append(torch.from_numpy(arrays[key][cut].copy()))
            scene = [arrays['scene'], arrays['lamps'].reshape(len(arrays['lamps']), -1)]
            columns['scene'].append(torch.from_numpy(np.concatenate(scene, 1)[cut]))
            vectors = np.stack([embed(str(text)) for text in arrays['texts']])
            columns['text'].append(torch.from_numpy(vectors[arrays['instruction'][cut]]))
        columns['acts'].append(torch.full(columns['joints'][-1].shape[:1], acts))
    return Frames(**{key: torch.cat(parts) for key, parts in columns.items()})


def data_hash(files: list[Path]) -> str:
    """Return the SHA-256 of joints and actions. The same demonstrations give the same hash."""
    digest = hashlib.sha256()
    for file in files:
        with open_arrays(file) as arrays:
            digest.update(arrays['joints'].tobytes())
            digest.update(arrays['actions'].tobytes())
    return digest.hexdigest()
