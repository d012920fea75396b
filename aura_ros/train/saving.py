# SPDX-License-Identifier: Apache-2.0
"""From a trained module to the weights file and card that `aura_ros.memory.load_memory` takes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from aura_ros.train.modules import MemoryModule


def save_memory(module: MemoryModule, path: Path, card: Mapping[str, Any]) -> None:
    """Write weights and, beside them, the card.

    Args:
        module: trained.
        path: of the .safetensors file; the card is the .json of the same name.
        card: how it was trained and what it reached; kind, sizes and number of parameters are added.

    """
    save_file({name: tensor.contiguous() for name, tensor in module.state_dict().items()
               if torch.is_floating_point(tensor)}, path)
    path.chmod(0o644)  # safetensors writes for the owner alone
    said = {'memory': module.kind, 'sizes': asdict(module.sizes), 'parameters': module.parameter_count, **card}
    path.with_suffix('.json').write_text(json.dumps(said, indent=2) + '\n')
