# SPDX-License-Identifier: Apache-2.0
"""The embedded robot: MuJoCo scene, tasks and a scripted expert. Imports no ROS."""

from aura_ros.sim.tasks import SPLITS, TASKS, Event, Kind, Simulation
from aura_ros.sim.world import CAMERAS, CONTROL_PERIOD, IMAGE_SIZE, JOINT_NAMES

__all__ = ['CAMERAS', 'CONTROL_PERIOD', 'IMAGE_SIZE', 'JOINT_NAMES', 'SPLITS', 'TASKS', 'Event', 'Kind', 'Simulation']
