# SPDX-License-Identifier: Apache-2.0
"""When a command is due in lock-step with a simulation: once for each joint_states stamp, when its chunk is there."""

import time

from aura_ros.control import PolicySwitch

# A simulation without a new stamp for so long is taken as stopped: no chunk will be played to its end [s].
_STOPPED_S = 1.0


class LockstepPacer:
    """Waits for the chunk of each tick of the simulation. Executor thread only. Steady clock."""

    def __init__(self, timeout_s: float) -> None:
        """Wait at most `timeout_s` for the chunk of a tick [s]."""
        self._timeout_s = timeout_s
        self._arrived_at = time.monotonic()
        self._waiting_since: float | None = None
        self._newest_ns = self._ticked_ns = -1

    def answered(self, stamp_ns: int) -> bool:
        """Return whether the tick of this stamp has its command already."""
        return stamp_ns == self._ticked_ns

    def arrive(self, stamp_ns: int) -> None:
        """Start to wait for the chunk of a tick; one that waits already keeps its start."""
        self._arrived_at = time.monotonic()
        self._waiting_since = self._waiting_since or self._arrived_at
        self._newest_ns = stamp_ns

    def due(self, switch: PolicySwitch) -> int | None:
        """Return the stamp to command for, None while there is none or its chunk is awaited [ns]."""
        if self._waiting_since is None:
            return None
        if switch.due(self._newest_ns):
            if time.monotonic() - self._waiting_since < self._timeout_s:
                return None
            switch.expire('no chunk arrived within lockstep_timeout_s')
        self._waiting_since = None
        self._ticked_ns = self._newest_ns
        return self._newest_ns

    @property
    def stopped(self) -> bool:
        """Whether the simulation has sent no new stamp for a second."""
        return time.monotonic() - self._arrived_at > _STOPPED_S
