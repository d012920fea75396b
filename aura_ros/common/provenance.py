# SPDX-License-Identifier: Apache-2.0
"""Versions and hashes of weights, for the report of a result (no ROS)."""

import hashlib
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files

_PACKAGES = ('aura_ros', 'ros-rclpy', 'numpy', 'onnxruntime', 'mujoco', 'wordllama')
_WEIGHTS = ('.onnx', '.safetensors')


def versions(*more: str) -> dict[str, str]:
    """Return the versions of Python, ROS and the installed packages; a workspace build has no package metadata.

    Args:
        more: further distributions, if they are installed.
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
    """Return the SHA-256 of every weights file of the package, hex, by file name."""
    found: dict[str, str] = {}
    for package in ('aura_ros.vla', 'aura_ros.memory'):
        folder = files(package) / 'weights'
        if not folder.is_dir():
            continue
        for file in folder.iterdir():
            if file.name.endswith(_WEIGHTS):
                found[file.name] = hashlib.sha256(file.read_bytes()).hexdigest()
    return dict(sorted(found.items()))
