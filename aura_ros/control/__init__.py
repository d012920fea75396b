# SPDX-License-Identifier: Apache-2.0
"""What the robot may be told: arm switch, action limits, watchdog, chunk hand-over (no ROS)."""

from aura_ros.control.chunk import Arm, Chunk, Refusal
from aura_ros.control.clock import ClockWatch
from aura_ros.control.limits import ActionLimiter
from aura_ros.control.robot import RobotConfig
from aura_ros.control.status import Command, Selection, SwitchStatus, Verdict
from aura_ros.control.switch import ArmSwitch, SwitchConfig

__all__ = [
    'ActionLimiter',
    'Arm',
    'ArmSwitch',
    'Chunk',
    'ClockWatch',
    'Command',
    'Refusal',
    'RobotConfig',
    'Selection',
    'SwitchConfig',
    'SwitchStatus',
    'Verdict',
]
