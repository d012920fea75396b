# SPDX-License-Identifier: Apache-2.0
"""All QoS profiles of the graph, each with its reason."""

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
        # The middleware's own thread renews the lease. So only a dead or disconnected process loses it, not a long
        # inference that holds Python's lock.
        profile.liveliness = LivelinessPolicy.AUTOMATIC
        profile.liveliness_lease_duration = Duration(nanoseconds=round(lease_s * 1e9))
    return profile


def sensor(reliability: str, depth: int) -> QoSProfile:
    """Return the subscription profile of a sensor stream.

    Args:
        reliability: 'best_effort' (the default: it matches every publisher, and a late image is useless) or 'reliable'
            (lock-step: no frame may be lost).
        depth: messages kept while the executor is busy [1].

    Raises:
        ConfigError: another reliability.
    """
    if reliability not in RELIABILITIES:
        raise ConfigError(f"reliability is '{reliability}': must be {' or '.join(RELIABILITIES)}")
    return _profile(depth, reliable=reliability == 'reliable')


def step(lease_s: float = 0.0) -> QoSProfile:
    """Return the profile of `vla_step`: reliable, with a queue for a busy policy.

    It is volatile because a policy that joins later must not receive old steps.

    Args:
        lease_s: liveliness lease [s], 0 = none; publishers offer it, the policy switch requests it.
    """
    return _profile(10, lease_s=lease_s)


def chunk(lease_s: float = 0.0) -> QoSProfile:
    """Return the profile of `*/action_chunk`, the same as `step`: an old chunk must not move a robot."""
    return _profile(10, lease_s=lease_s)


# Volatile: a new subscriber needs current images only. Reliable for lock-step. The history serves a recorder that is
# busy for a second; a subscriber that wants only the newest uses depth 1.
CAMERA_OUT = _profile(30)
# The same for joint states, with a history of as long a time.
JOINT_STATES_OUT = _profile(150)
# Latched: an instruction that was given before the node started still counts.
INSTRUCTION = _profile(1, latched=True)
# Latched: a monitor that joins late receives the last writes.
WRITE_EVENT = _profile(200, latched=True)
# The panel counts writes from now on and needs no history.
WRITE_EVENT_LIVE = _profile(200)
# A dense series to plot: old samples would mislead, lost ones would leave holes.
GATE = _profile(100)
# Latched: a monitor that joins late needs the newest state only.
MEMORY_STATE = _profile(1, latched=True)
CACHE_STATUS = _profile(1, latched=True)
POLICY_STATUS = _profile(1, latched=True)
# Volatile: a late subscriber must never receive an old command. Depth 1: only the newest one counts.
COMMAND = _profile(1)
# Latched: a recorder that starts in the middle needs the marks and scores of the whole episode.
TASK_EVENT = _profile(500, latched=True)
# Only the newest time counts.
CLOCK = _profile(1)
# rqt_robot_monitor and the aggregator subscribe as reliable, which best effort does not match.
DIAGNOSTICS = _profile(10)
