# SPDX-License-Identifier: Apache-2.0
"""Trained weights of a memory: a safetensors file and its card, a .json of the same name beside it."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aura_ros.common.action_spec import ActionComponent, ActionSpec, is_absolute_joints, spec_of
from aura_ros.common.errors import ConfigError
from aura_ros.common.limits import WEIGHTS_BYTES
from aura_ros.common.text_files import read_bytes, read_object


@dataclass(frozen=True)
class MemoryWeights:
    """Arrays of a memory and their card."""

    arrays: Mapping[str, NDArray[np.float32]]
    """Float32 arrays by name."""
    card: Mapping[str, Any]
    """How the arrays were trained, and the results."""
    sha256: str
    """SHA-256 of the weights file, hex: the identity of the memory."""

    @property
    def backbone_hash(self) -> str:
        """SHA-256 of the VLA that they were trained for, hex; '' if the card has none."""
        return str(self.card.get('backbone_sha256', ''))

    @property
    def addressing(self) -> str:
        """How fast weights are addressed, 'dense' or 'content'. A card without it is for dense keys."""
        return str(self.card.get('addressing', 'dense'))

    @property
    def action_spec(self) -> ActionSpec | None:
        """What the actions mean; None: the card has no spec, and the actions are absolute joint targets.

        Raises:
            ConfigError: the spec of the card is unusable.
        """
        return spec_of(self.card)

    @property
    def components(self) -> tuple[ActionComponent, ...]:
        """What the columns of an action mean; () is absolute joint targets."""
        spec = self.action_spec
        return () if spec is None or is_absolute_joints(spec.components) else spec.components

    def spec_problem(self, spec: ActionSpec) -> str:
        """Return why the weights do not fit the actions of a backbone, with both specs; '' if they fit."""
        mine = self.action_spec
        if mine is None:
            steps = min(spec.n_action_steps, self.chunk_size)
            mine = ActionSpec.absolute_joints(self.action_dim, self.chunk_size, steps, spec.seconds_per_action)
        return mine.diff(spec, 'the memory', 'the backbone')

    @property
    def feature_dim(self) -> int:
        """Length of the feature z."""
        return len(self.arrays['feature_mean'])

    @property
    def action_dim(self) -> int:
        """Number of joints of an action."""
        return len(self.arrays['action_scale'])

    @property
    def chunk_size(self) -> int:
        """Number of actions in a chunk."""
        return (len(self.arrays['head.output.bias']) - 1) // self.action_dim


def default_path(kind: str) -> Path:
    """Return the path of weights that ship with the package."""
    return Path(str(files('aura_ros.memory') / 'weights' / f'{kind}.safetensors'))


def load_weights(kind: str, path: str | None = None) -> MemoryWeights:
    """Return weights and their card.

    Args:
        kind: name of the memory that the weights must be for.
        path: a .safetensors file; None uses the weights that ship with the package.

    Raises:
        ConfigError: if a file is missing, unreadable, for another memory or not finite.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    file = Path(path) if path else default_path(kind)
    card_file = file.with_suffix('.json')
    for needed in (file, card_file):
        if not needed.is_file():
            raise ConfigError(f'weights of the {kind} memory: no file {needed}; train them with `aura train memory`')
    data = read_bytes(file, WEIGHTS_BYTES)
    card = read_object(card_file)
    try:
        arrays = load(data)
    except SafetensorError as error:
        raise ConfigError(f'weights of the {kind} memory: {file} cannot be read: {error}') from error
    if card.get('memory') != kind:
        raise ConfigError(f'weights of the {kind} memory: {file} is for {card.get("memory")!r}')
    for name, array in arrays.items():
        if array.dtype != np.float32 or not np.isfinite(array).all():
            raise ConfigError(f'weights of the {kind} memory: {name} in {file} must be finite float32')
    return MemoryWeights(arrays, card, hashlib.sha256(data).hexdigest())
