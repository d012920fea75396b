# SPDX-License-Identifier: Apache-2.0
"""Backbones in another process or on another machine, by openpi's websocket protocol."""

from aura_ros.vla.remote.backbone import RemoteBackbone, load_remote
from aura_ros.vla.remote.connection import RemoteError
from aura_ros.vla.remote.contract import Contract, Features
from aura_ros.vla.remote.feature_policy import FeaturePolicy
from aura_ros.vla.remote.server import PolicyServer, ServerOptions

__all__ = [
    'Contract',
    'FeaturePolicy',
    'Features',
    'PolicyServer',
    'RemoteBackbone',
    'RemoteError',
    'ServerOptions',
    'load_remote',
]
