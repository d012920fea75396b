# SPDX-License-Identifier: Apache-2.0
"""Parameters of vla_node."""

from dataclasses import dataclass

from aura_ros.ros import qos
from aura_ros.ros.parameters import parameter


@dataclass(frozen=True)
class VlaNodeConfig:
    """Parameters of vla_node."""

    backbone: str = parameter('embedded', 'Frozen backbone: embedded, or module:attribute', at_start=True)
    backbone_path: str = parameter('', 'Weights of the backbone; empty: those of the package', at_start=True)
    base_frame: str = parameter('base_link', 'frame_id of every step: the frame of the actions')
    cameras: str = parameter(
        '',
        "Topic of each camera of the backbone, as YAML, such as '{front: /cam0/image_raw}'; empty: "
        'camera/NAME/image_raw',
    )
    pose_topic: str = parameter(
        '', 'Topic of the measured end-effector pose in base_frame, for a backbone that reads it; empty: none'
    )
    camera_reliability: str = parameter(
        'best_effort', "Reliability of cameras and joint_states; 'reliable' for lock-step", choices=qos.RELIABILITIES
    )
    sync_slop_s: float = parameter(
        0.06,
        'Largest distance of stamps in one observation; 0 for lock-step: equal stamps',
        unit='s',
        low=0.0,
        high=10.0,
    )
    max_age_s: float = parameter(0.3, 'Oldest image a step may use', unit='s', low=0.001, high=60.0)
    stamp_tolerance_s: float = parameter(0.1, 'How far a stamp may be ahead of the clock', unit='s', low=0.0, high=10.0)
    input_timeout_s: float = parameter(
        1.0, 'A stream without messages for longer is reported (steady clock)', unit='s', low=0.05, high=60.0
    )
    step_subscribers: int = parameter(
        0,
        'Subscribers that an episode waits for before its first step, because a step is never repeated',
        unit='1',
        low=0,
        high=16,
    )
    liveliness_lease_s: float = parameter(
        0.08,
        'Time within which the middleware reports to the policy switch that this process died, '
        '0 = never; at most the value of the policy switch',
        unit='s',
        low=0.0,
        high=60.0,
    )
    operator_lease_s: float = parameter(
        1.0,
        'How long an episode goes on after a client of run_episode has left, 0 = without limit (steady clock)',
        unit='s',
        low=0.0,
        high=3600.0,
    )
