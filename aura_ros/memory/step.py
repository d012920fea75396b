# SPDX-License-Identifier: Apache-2.0
"""One step of the frozen VLA: the container that every memory reads, on the robot, in a replay and in training."""

from dataclasses import dataclass

from aura_ros.common.action_spec import ActionComponent
from aura_ros.common.errors import InputError
from aura_ros.memory.layers import Floats


@dataclass(frozen=True, eq=False)
class Step:
    """One output of the VLA. `MemorySession.apply` checks it."""

    episode_id: str
    """UUID of the episode, ASCII."""
    seq: int
    """Number of the step in its episode, from 0."""
    stamp_ns: int
    """Time of the newest observation that the VLA used [ns, ROS clock]."""
    features: Floats
    """The VLA's feature, float32 [feature_dim]."""
    base_action: Floats
    """The VLA's own actions, float32 [chunk_size, action_dim]."""
    seconds_per_action: float
    """Time between two actions of the chunk [s]."""
    inference_ms: float = 0.0
    """Time that the VLA took [ms]."""
    backbone_hash: str = ''
    """SHA-256 of the VLA's weights, hex; empty if unknown."""
    frame_id: str = ''
    """Frame of the robot's base."""
    components: tuple[ActionComponent, ...] = ()
    """What the columns of an action mean; empty: absolute joint targets [rad, m]."""


class StepRefused(InputError):
    """A step that was not applied. The memory and the step order are unchanged."""

    def __init__(self, kind: str, text: str) -> None:
        """Store the reason.

        Args:
            kind: 'rejected' for a step that cannot be used, or the value of a `StepVerdict`.
            text: one sentence for people.
        """
        super().__init__(text)
        self.kind = kind
