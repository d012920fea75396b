# SPDX-License-Identifier: Apache-2.0
"""From a trained module to the weights file and card that `aura_ros.memory.load_memory` takes, and back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from aura_ros.common.errors import ConfigError
from aura_ros.memory.weights import load_weights
from aura_ros.train.modules import MemoryModule


def save_memory(module: MemoryModule, path: Path, card: Mapping[str, Any]) -> None:
    """Write weights and, beside them, the card.

    Args:
        module: trained.
        path: of the .safetensors file; the card is the .json of the same name.
        card: how it was trained and what it reached; kind, sizes and number of parameters are added.

    """
    save_file(
        {name: tensor.contiguous() for name, tensor in module.state_dict().items() if torch.is_floating_point(tensor)},
        path,
    )
    path.chmod(0o644)  # safetensors writes for the owner alone
    said = {'memory': module.kind, 'sizes': asdict(module.sizes), 'parameters': module.parameter_count, **card}
    path.with_suffix('.json').write_text(json.dumps(said, indent=2) + '\n')


def load_module(module: MemoryModule, path: Path, backbone_hash: str) -> None:
    """Give a module the weights that `save_memory` wrote.

    Args:
        module: of the same kind and sizes.
        path: of the .safetensors file, with its card beside it.
        backbone_hash: SHA-256 of the VLA that the module is for, hex.

    Raises:
        ConfigError: the file is missing or damaged, of another kind, of other sizes, or for another VLA.

    """
    weights = load_weights(module.kind, str(path))
    if weights.backbone_hash != backbone_hash:
        raise ConfigError(
            f'{path} was trained for a VLA with weights {weights.backbone_hash[:12]}, this one has {backbone_hash[:12]}'
        )
    wanted = {name: tensor for name, tensor in module.state_dict().items() if torch.is_floating_point(tensor)}
    shapes = {name: tuple(tensor.shape) for name, tensor in wanted.items()}
    if shapes != {name: array.shape for name, array in weights.arrays.items()}:
        raise ConfigError(f'{path} has other sizes than the {module.kind} memory for this VLA')
    tensors = {name: torch.from_numpy(array.copy()) for name, array in weights.arrays.items()}
    module.load_state_dict(tensors, strict=False)  # what is not floating is not saved
