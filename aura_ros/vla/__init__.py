# SPDX-License-Identifier: Apache-2.0
"""Frozen vision-language-action backbones behind one protocol. No ROS."""

import argparse

from aura_ros.common.action_spec import ActionComponent, ActionSpec
from aura_ros.common.arguments import wrong_name
from aura_ros.common.errors import ConfigError
from aura_ros.common.loading import load_factory
from aura_ros.common.program import missing_package
from aura_ros.common.state_spec import StatePart, StateSpec
from aura_ros.vla.protocol import Backbone, BackboneSpec, Observation, VlaOutput
from aura_ros.vla.relative import absolute

__all__ = [
    'ActionComponent',
    'ActionSpec',
    'Backbone',
    'BackboneSpec',
    'Observation',
    'StatePart',
    'StateSpec',
    'VlaOutput',
    'backbone_name',
    'close_backbone',
    'load_backbone',
]


_BACKBONES = {
    'embedded': 'aura_ros.vla.embedded:EmbeddedVla',
    'remote': 'aura_ros.vla.remote:load_remote',
    'lerobot': 'aura_ros.vla.adapters.lerobot:load_lerobot',
    'openvla_oft': 'aura_ros.vla.adapters.openvla_oft:load_openvla_oft',
}
"""Name: factory that takes the path; imported only when it is named."""
_WITH_CHECKPOINT = ('lerobot', 'openvla_oft')


def backbone_name(text: str) -> str:
    """Convert an argument for argparse: the name of a backbone, or module:factory."""
    if ':' not in text and text not in _BACKBONES:
        raise argparse.ArgumentTypeError(f'{wrong_name(text, _BACKBONES)}, or module:factory')
    return text


def load_backbone(name: str = 'embedded', path: str | None = None, checkpoint: str | None = None) -> Backbone:
    """Return a backbone with its weights loaded. Actions relative to the observed state are made absolute.

    Args:
        name: 'embedded', 'remote', 'lerobot', 'openvla_oft', or 'module:factory' for your own; the factory takes the
            path.
        path: weights or a file with settings; None uses what the package has.
        checkpoint: folder of the weights of 'lerobot' and 'openvla_oft', in place of that in the file.

    Raises:
        ConfigError: the name is unknown or the weights cannot be used.
    """
    factory = name if ':' in name else _BACKBONES.get(name)
    if factory is None:
        raise ConfigError(f'backbone = {name!r}: must be one of {", ".join(_BACKBONES)}, or module:factory')
    if checkpoint and name not in _WITH_CHECKPOINT:
        raise ConfigError(f'checkpoint = {checkpoint!r}: must be left out with backbone {name}')
    try:
        make = load_factory(factory)
        backbone: Backbone = make(path, checkpoint) if checkpoint else make(path)
    except ImportError as error:
        raise ConfigError(f'backbone {name!r} {missing_package(error)}') from error
    return absolute(backbone)


def close_backbone(backbone: Backbone) -> None:
    """End the connection of a backbone in another process, so that an inference that waits for it fails."""
    close = getattr(backbone, 'close', None)
    if callable(close):
        close()
