# SPDX-License-Identifier: Apache-2.0
"""Which policy may drive the robot and which commands may leave: policy switch, limits, watchdog. No ROS."""

from aura_ros.common.names import Policy
from aura_ros.control.chunk import Chunk, Refusal
from aura_ros.control.clock import ClockWatch
from aura_ros.control.config import SwitchConfig
from aura_ros.control.limits import ActionLimiter
from aura_ros.control.outputs import OutputConfig
from aura_ros.control.robot import RobotConfig
from aura_ros.control.sources import JointMap, JointSources
from aura_ros.control.status import ChunkVerdict, Command, Selection, SwitchStatus
from aura_ros.control.switch import PolicySwitch
from aura_ros.control.watchdog import ControlWatchdog

__all__ = [
    'ActionLimiter',
    'Chunk',
    'ChunkVerdict',
    'ClockWatch',
    'Command',
    'ControlWatchdog',
    'JointMap',
    'JointSources',
    'OutputConfig',
    'Policy',
    'PolicySwitch',
    'Refusal',
    'RobotConfig',
    'Selection',
    'SwitchConfig',
    'SwitchStatus',
]
