# SPDX-License-Identifier: Apache-2.0
"""Save a trained module as the weights file and card that `aura_ros.memory.load_memory` reads, and load it back."""

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from aura_ros.common.errors import ConfigError
from aura_ros.memory.weights import load_weights
from aura_ros.train.modules import ContentAddressedModule, MemoryModule


def save_memory(module: MemoryModule, path: Path, card: Mapping[str, Any]) -> None:
    """Write the weights, and the card beside them.

    Args:
        module: trained module.
        path: .safetensors file; the card is the .json file of the same name.
        card: settings and results of the training; kind, sizes, number of parameters and action spec are added.
    """
    save_file(
        {name: tensor.contiguous() for name, tensor in module.state_dict().items() if torch.is_floating_point(tensor)},
        path,
    )
    path.chmod(0o644)  # safetensors creates files that only their owner can read
    path.with_suffix('.json').write_text(json.dumps({**card_of(module), **card}, indent=2) + '\n')


def card_of(module: MemoryModule) -> dict[str, Any]:
    """Return what the card of a memory says of its shapes."""
    addressing = {'addressing': 'content'} if isinstance(module, ContentAddressedModule) else {}
    numbers = asdict(replace(module.sizes, actions=None))
    del numbers['actions']
    spec = {'action_spec': module.sizes.actions.to_dict()} if module.sizes.actions is not None else {}
    return {'memory': module.kind, **addressing, 'sizes': numbers, 'parameters': module.parameter_count, **spec}


def modes_of(kind: str, path: Path) -> int:
    """Return the number of maps of a stored value in a weights file; 1 for cells that have none.

    Raises:
        ConfigError: the file is missing or damaged, or of another kind.
    """
    arrays = load_weights(kind, str(path)).arrays
    return len(arrays['mode.bias']) if 'mode.bias' in arrays else 1


def load_module(module: MemoryModule, path: Path, backbone_hash: str) -> None:
    """Load weights that `save_memory` wrote into a module.

    Args:
        module: module of the same kind and sizes.
        path: .safetensors file, with its card beside it.
        backbone_hash: SHA-256 of the backbone that the module is for, hex.

    Raises:
        ConfigError: if the file is missing, damaged, of another kind, of other sizes, or for another backbone or other
            actions.
    """
    weights = load_weights(module.kind, str(path))
    if weights.backbone_hash != backbone_hash:
        raise ConfigError(
            f'{path} was trained for the backbone {weights.backbone_hash[:12]}, but this backbone is '
            f'{backbone_hash[:12]}'
        )
    if module.sizes.actions is not None and (problem := weights.spec_problem(module.sizes.actions)):
        raise ConfigError(f'{path}: {problem}; train the memory for this backbone')
    wanted = {name: tensor for name, tensor in module.state_dict().items() if torch.is_floating_point(tensor)}
    shapes = {name: tuple(tensor.shape) for name, tensor in wanted.items()}
    if shapes != {name: array.shape for name, array in weights.arrays.items()}:
        raise ConfigError(f'{path} does not have the sizes of the {module.kind} memory for this backbone')
    tensors = {name: torch.from_numpy(array.copy()) for name, array in weights.arrays.items()}
    module.load_state_dict(tensors, strict=False)  # only floating-point tensors are saved
