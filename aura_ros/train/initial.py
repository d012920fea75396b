# SPDX-License-Identifier: Apache-2.0
"""What a new memory starts with: scales from the training data, and keys."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from aura_ros.common.action_columns import ActionColumns
from aura_ros.train.memory_settings import MemoryTraining
from aura_ros.train.modules import ContentAddressedModule, FastWeightModule, MemoryModule
from aura_ros.train.sequences import Stream

SAMPLE = 4096
"""Largest number of steps that the length of keys is measured on."""


def set_scales(model: MemoryModule, streams: list[Stream]) -> None:
    """Set the scales of features and offsets from the training streams."""
    z = torch.from_numpy(np.concatenate([stream.z for stream in streams]))
    columns = ActionColumns.of(model.sizes.actions.components if model.sizes.actions else (), model.sizes.action_dim)
    offsets = np.concatenate(
        [
            stream.expert - np.where(columns.moves, columns.neutral, stream.base[:, :1])
            for stream in streams
            if stream.task != 'visible'
        ]
    )
    model.feature_mean.copy_(z.mean(0))
    model.feature_scale.copy_(z.std(0).clamp(min=1e-2))
    model.action_scale.copy_(torch.from_numpy(offsets).flatten(0, 1).std(0).clamp(min=2e-3))
    if columns.binary.any():
        model.action_scale[columns.binary] = torch.from_numpy(columns.span[columns.binary] / 2)


def set_keys(model: MemoryModule, streams: list[Stream], settings: MemoryTraining) -> None:
    """Set the first keys of fast weights; other memories have none."""
    if isinstance(model, FastWeightModule):
        torch.nn.init.constant_(model.log_key_scale, math.log(settings.key_scale))
    if isinstance(model, ContentAddressedModule):
        z = torch.from_numpy(np.concatenate([stream.z for stream in streams]))
        share_keys(model, z[:: max(1, len(z) // SAMPLE)], settings.key_spread)


@torch.no_grad()
def share_keys(model: ContentAddressedModule, z: Tensor, spread: float) -> None:
    """Give all steps similar keys, in place.

    Two rows for one thing rarely become one by gradient descent, because no action depends smoothly on the choice of a
    row. So training starts with few rows for everything. Keys of different things move apart where that helps.

    Args:
        model: new module, with its scales.
        z: features of any steps, [N, D].
        spread: mean length of the part of a key that depends on the step, beside a constant part of length 1.
    """
    code = torch.tanh(model.encoder(((z - model.feature_mean) / model.feature_scale).clamp(-5, 5)))
    model.key.weight *= spread / (code @ model.key.weight.T).norm(dim=-1).mean()
    model.key.bias.copy_(F.normalize(torch.randn_like(model.key.bias), dim=0))
    model.query.load_state_dict(model.key.state_dict())
