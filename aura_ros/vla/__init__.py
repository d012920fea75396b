# SPDX-License-Identifier: Apache-2.0
"""Frozen vision-language-action backbones behind one small protocol. Imports no ROS."""

from __future__ import annotations

from aura_ros.common.errors import ConfigError
from aura_ros.common.loading import load_factory
from aura_ros.vla.protocol import Backbone, BackboneSpec, Observation, VlaOutput

__all__ = ['Backbone', 'BackboneSpec', 'Observation', 'VlaOutput', 'load_backbone']


def load_backbone(name: str = 'embedded', path: str | None = None) -> Backbone:
    """Make a backbone.

    Args:
        name: 'embedded', or 'module:factory' for one of your own; the factory takes the path.
        path: its weights; None takes what the package ships.

    Raises:
        ConfigError: if the name is unknown or the weights cannot be used.

    """
    if ':' in name:
        backbone: Backbone = load_factory(name)(path)
        return backbone
    if name != 'embedded':
        raise ConfigError(f"backbone must be 'embedded' or module:factory, got {name!r}")
    from aura_ros.vla.embedded import EmbeddedVla

    return EmbeddedVla(path)
