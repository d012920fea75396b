# SPDX-License-Identifier: Apache-2.0
"""Parameters of policy_switch_node."""

from dataclasses import dataclass

from aura_ros.common.names import POLICIES, Policy
from aura_ros.control import SwitchConfig
from aura_ros.ros import commands, qos
from aura_ros.ros.parameters import parameter


@dataclass(frozen=True)
class SwitchNodeConfig:
    """Parameters of the node."""

    policy: str = parameter('aura', 'The policy that drives at first', choices=POLICIES)
    enable_control: bool = parameter(
        False, 'false: dry run, commands are computed and not published; may be set at any time', live=True
    )
    tick_source: str = parameter(
        'timer',
        "Source of the control period: 'timer' at robot.control_hz on the steady clock, or "
        "'joint_states' with one command per new stamp whose messages name all joints, for lock-step with a simulation",
        choices=('timer', 'joint_states'),
    )
    lockstep_timeout_s: float = parameter(
        5.0,
        'Longest wait for all joints and the next chunk in lock-step before the robot is held (steady clock)',
        unit='s',
        low=0.1,
        high=600.0,
    )
    n_action_steps: int = parameter(
        4, 'Actions of a chunk that are commanded before the next chunk is due', unit='1', low=1, high=1000
    )
    grace_ticks: int = parameter(
        2, 'Control periods that a chunk may be used beyond that, before the robot is held', unit='1', low=0, high=100
    )
    max_age_s: float = parameter(
        0.5,
        'Oldest observation that may move the robot, when its chunk arrives and while it plays',
        unit='s',
        low=0.001,
        high=60.0,
    )
    joint_max_age_s: float = parameter(
        0.2, 'Oldest usable position of a joint; robot.joint_max_age_s sets it by joint', unit='s', low=0.001, high=60.0
    )
    stamp_tolerance_s: float = parameter(0.1, 'How far a stamp may be ahead of the clock', unit='s', low=0.0, high=10.0)
    clock_timeout_s: float = parameter(
        0.5,
        'Longest time without advance of the ROS clock before the robot is held (steady clock)',
        unit='s',
        low=0.05,
        high=60.0,
    )
    joint_reliability: str = parameter(
        'best_effort', "Reliability of joint_states; 'reliable' for lock-step", choices=qos.RELIABILITIES
    )
    # Less than two control periods at 20 Hz, within which the robot has to be held.
    liveliness_lease_s: float = parameter(
        0.08,
        'Time after which the death of a policy process is detected and the robot held, 0 = never '
        '(for lock-step); at least the value of the other nodes',
        unit='s',
        low=0.0,
        high=60.0,
    )
    select_timeout_s: float = parameter(
        5.0, 'Longest wait of select_policy until the switch is in effect (steady clock)', unit='s', low=0.1, high=600.0
    )
    command_stamp: str = parameter(
        'zero',
        "Stamp of a joint_trajectory command outside lock-step: 'zero' = start now, or 'now' = the ROS clock; a "
        'JointTrajectoryController refuses a stamped command that arrives later than one control period',
        choices=commands.STAMPS,
    )
    command_topic: str = parameter(
        'joint_command', "The robot's command topic where robot.outputs is empty; may be remapped"
    )

    def core(self) -> SwitchConfig:
        """Return the settings of the PolicySwitch."""
        return SwitchConfig(
            n_action_steps=self.n_action_steps,
            grace_ticks=self.grace_ticks,
            max_age_ns=round(self.max_age_s * 1e9),
            future_tolerance_ns=round(self.stamp_tolerance_s * 1e9),
            policy=Policy(POLICIES.index(self.policy)),
        )
