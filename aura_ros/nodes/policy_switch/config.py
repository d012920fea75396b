# SPDX-License-Identifier: Apache-2.0
"""Parameters of policy_switch_node, those of its robot included."""

from dataclasses import asdict, dataclass

from aura_ros.common.errors import ConfigError
from aura_ros.common.names import POLICIES, Policy
from aura_ros.control import RobotConfig, SwitchConfig
from aura_ros.control.robot import COMMAND_TYPES
from aura_ros.ros import commands, qos
from aura_ros.ros.parameters import numbers, parameter, strings


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
        "'joint_states' with one command per new stamp, for lock-step with a simulation",
        choices=('timer', 'joint_states'),
    )
    lockstep_timeout_s: float = parameter(
        5.0,
        'Longest wait for the next chunk in lock-step before the robot is held (steady clock)',
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
    joint_max_age_s: float = parameter(0.2, 'Oldest usable joint_states', unit='s', low=0.001, high=60.0)
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
    command_topic: str = parameter('joint_command', "The robot's command topic; may be remapped")

    def core(self) -> SwitchConfig:
        """Return the settings of the PolicySwitch."""
        return SwitchConfig(
            n_action_steps=self.n_action_steps,
            grace_ticks=self.grace_ticks,
            max_age_ns=round(self.max_age_s * 1e9),
            future_tolerance_ns=round(self.stamp_tolerance_s * 1e9),
            policy=Policy(POLICIES.index(self.policy)),
        )


@dataclass(frozen=True)
class RobotParameters:
    """The robot file, with the prefix `robot.`; RobotConfig checks it."""

    joint_names: tuple[str, ...] = strings('Commanded joints, in the order of the action vector')
    units: tuple[str, ...] = strings("'rad' or 'm' for each joint")
    position_lower: tuple[float, ...] = numbers('Lower limit of each joint', unit='rad or m')
    position_upper: tuple[float, ...] = numbers('Upper limit of each joint', unit='rad or m')
    velocity_max: tuple[float, ...] = numbers('Largest speed of each joint', unit='rad/s or m/s')
    step_max: tuple[float, ...] = numbers('Largest change of each joint from one command to the next', unit='rad or m')
    control_hz: float = parameter(20.0, 'Commands per second', unit='Hz', low=1.0, high=1000.0)
    command_type: str = parameter('joint_trajectory', 'Message type of the controller', choices=COMMAND_TYPES)
    base_frame: str = parameter('base_link', 'frame_id of every command')

    def core(self) -> RobotConfig:
        """Return the checked robot.

        Raises:
            ConfigError: a list is missing or a limit is unusable.
        """
        if not self.joint_names:
            raise ConfigError(
                "parameter 'robot.joint_names' is not set: must list the commanded joints; "
                'start the node with a robot file such as config/sim_arm.yaml'
            )
        return RobotConfig.from_mapping(asdict(self))
