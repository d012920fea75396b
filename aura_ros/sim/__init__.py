# SPDX-License-Identifier: Apache-2.0
"""The embedded robot: MuJoCo scene, tasks and a scripted expert. Imports no ROS."""

from aura_ros.common.names import TASKS, EventKind
from aura_ros.sim.tasks import SPLITS, Event, Simulation
from aura_ros.sim.world import CAMERAS, CONTROL_PERIOD, IMAGE_SIZE, JOINT_NAMES

__all__ = [
    'CAMERAS',
    'CONTROL_PERIOD',
    'IMAGE_SIZE',
    'JOINT_NAMES',
    'SPLITS',
    'TASKS',
    'Event',
    'EventKind',
    'Simulation',
]
