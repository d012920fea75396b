# SPDX-License-Identifier: Apache-2.0
"""What a result depends on: versions and the hashes of the weights (no ROS)."""

from __future__ import annotations

import hashlib
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files

_PACKAGES = ('aura_ros', 'ros-rclpy', 'numpy', 'onnxruntime', 'mujoco', 'wordllama')
_WEIGHTS = ('.onnx', '.safetensors')


def versions(*more: str) -> dict[str, str]:
    """Versions of what took part, as far as it says; a workspace build has no package metadata.

    Args:
        more: further distributions to name, if they are installed.

    """
    found = {'python': platform.python_version(), 'machine': platform.machine()}
    if 'ROS_DISTRO' in os.environ:
        found['ros_distro'] = os.environ['ROS_DISTRO']
    for name in (*_PACKAGES, *more):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def weight_hashes() -> dict[str, str]:
    """SHA-256 of every weights file that ships with the package, hex, by file name."""
    found: dict[str, str] = {}
    for package in ('aura_ros.vla', 'aura_ros.memory'):
        folder = files(package) / 'weights'
        if not folder.is_dir():
            continue
        for file in folder.iterdir():
            if file.name.endswith(_WEIGHTS):
                found[file.name] = hashlib.sha256(file.read_bytes()).hexdigest()
    return dict(sorted(found.items()))
