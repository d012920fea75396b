# SPDX-License-Identifier: Apache-2.0
"""A Python launch file with the arguments and the nodes of demo.launch.yaml."""

from pathlib import Path

from launch import LaunchDescription
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import AnyLaunchDescriptionSource


def generate_launch_description() -> LaunchDescription:
    """Return the description that includes the YAML file beside this one."""
    path = Path(__file__).with_suffix('.yaml')
    return LaunchDescription([IncludeLaunchDescription(AnyLaunchDescriptionSource(str(path)))])
