# SPDX-License-Identifier: Apache-2.0
"""Frozen vision-language-action backbones behind one protocol. No ROS."""

from aura_ros.common.action_spec import ActionComponent, ActionSpec
from aura_ros.common.errors import ConfigError
from aura_ros.common.loading import load_factory
from aura_ros.common.state_spec import StatePart, StateSpec
from aura_ros.vla.protocol import Backbone, BackboneSpec, Observation, VlaOutput

__all__ = [
    'ActionComponent',
    'ActionSpec',
    'Backbone',
    'BackboneSpec',
    'Observation',
    'StatePart',
    'StateSpec',
    'VlaOutput',
    'load_backbone',
]


def load_backbone(name: str = 'embedded', path: str | None = None) -> Backbone:
    """Return a backbone with its weights loaded.

    Args:
        name: 'embedded', or 'module:factory' for your own; the factory takes the path.
        path: weights; None uses those of the package.

    Raises:
        ConfigError: the name is unknown or the weights cannot be used.
    """
    if ':' in name:
        backbone: Backbone = load_factory(name)(path)
        return backbone
    if name != 'embedded':
        raise ConfigError(f"backbone = {name!r}: must be 'embedded' or module:factory")
    from aura_ros.vla.embedded import EmbeddedVla

    return EmbeddedVla(path)
