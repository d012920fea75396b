# SPDX-License-Identifier: Apache-2.0
"""Every QoS profile of the graph, each with its reason."""

from rclpy.duration import Duration
from rclpy.qos import DurabilityPolicy, HistoryPolicy, LivelinessPolicy, QoSProfile, ReliabilityPolicy

from aura_ros.common.errors import ConfigError

RELIABILITIES = ('best_effort', 'reliable')


def _profile(depth: int, *, reliable: bool = True, latched: bool = False, lease_s: float = 0.0) -> QoSProfile:
    profile = QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=depth,
        reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
    )
    if lease_s > 0.0:
        # The middleware's own thread keeps the promise, so that only a dead or cut-off process
        # breaks it: a long inference under Python's lock does not.
        profile.liveliness = LivelinessPolicy.AUTOMATIC
        profile.liveliness_lease_duration = Duration(nanoseconds=round(lease_s * 1e9))
    return profile


def sensor(reliability: str, depth: int) -> QoSProfile:
    """Return the subscription profile of a sensor stream.

    Args:
        reliability: 'best_effort' (default of all nodes: matches every publisher, a late image is
            worth nothing) or 'reliable' (lock-step: no frame may be lost).
        depth: messages kept while the executor is busy.

    Raises:
        ConfigError: the reliability is neither of the two.
    """
    if reliability not in RELIABILITIES:
        raise ConfigError(f"reliability is '{reliability}', allowed: {', '.join(RELIABILITIES)}")
    return _profile(depth, reliable=reliability == 'reliable')


def step(lease_s: float = 0.0) -> QoSProfile:
    """Return the profile of `vla_step`: each step reaches each policy, with slack for a busy one.

    Volatile: a step of the past must not reach a policy that joins later.

    Args:
        lease_s: liveliness lease [s], 0 = none; publishers offer it, the policy switch asks for it.
    """
    return _profile(10, lease_s=lease_s)


def chunk(lease_s: float = 0.0) -> QoSProfile:
    """Return the profile of `*/action_chunk`, as `step`: no old chunk may move a robot."""
    return _profile(10, lease_s=lease_s)


# Volatile: a new subscriber gets the pixels of now. Reliable for lock-step, and with some history for a recorder that
# is busy for a second; who wants only the newest subscribes with depth 1.
CAMERA_OUT = _profile(30)
# The policy switch's only measurement, likewise: of as long a time.
JOINT_STATES_OUT = _profile(150)
# Latched: the instruction given before the node came up still counts.
INSTRUCTION = _profile(1, latched=True)
# A monitor that joins late sees the history of the memory.
WRITE_EVENT = _profile(200, latched=True)
# The panel counts what happens from now on and wants no history.
WRITE_EVENT_LIVE = _profile(200)
# A dense series to plot: history would be misleading, loss would leave holes.
GATE = _profile(10)
# The newest state is the only one of interest, also to a monitor that joins between two of them.
MEMORY_STATE = _profile(1, latched=True)
CACHE_STATUS = _profile(1, latched=True)
POLICY_STATUS = _profile(1, latched=True)
# Volatile: a late subscriber must never be given an old command; depth 1: only the newest one
# counts.
COMMAND = _profile(1)
# Marks and scores of a whole long episode, also for a recorder started in the middle.
TASK_EVENT = _profile(500, latched=True)
# Only the newest time counts.
CLOCK = _profile(1)
# rqt_robot_monitor and the aggregator subscribe RELIABLE: best effort would be invisible to them.
DIAGNOSTICS = _profile(10)
