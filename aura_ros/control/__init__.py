# SPDX-License-Identifier: Apache-2.0
"""What the robot may be told: policy switch, action limits, watchdog, chunk hand-over (no ROS)."""

from aura_ros.common.names import Policy
from aura_ros.control.chunk import Chunk, Refusal
from aura_ros.control.clock import ClockWatch
from aura_ros.control.limits import ActionLimiter
from aura_ros.control.robot import RobotConfig
from aura_ros.control.status import Command, Selection, SwitchStatus, Verdict
from aura_ros.control.switch import PolicySwitch, SwitchConfig

__all__ = [
    'ActionLimiter',
    'Chunk',
    'ClockWatch',
    'Command',
    'Policy',
    'PolicySwitch',
    'Refusal',
    'RobotConfig',
    'Selection',
    'SwitchConfig',
    'SwitchStatus',
    'Verdict',
]
