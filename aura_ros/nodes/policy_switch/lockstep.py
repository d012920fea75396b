# SPDX-License-Identifier: Apache-2.0
"""When a command is due in lock-step with a simulation: once for each stamp, when its joints and chunk are there."""

import time
from collections.abc import Iterable

from aura_ros.control import PolicySwitch

# A simulation without a new stamp for so long is taken as stopped: no chunk will be played to its end [s].
_STOPPED_S = 1.0


class LockstepPacer:
    """Waits for the joints and the chunk of each tick of the simulation. Executor thread only. Steady clock."""

    def __init__(self, joints: Iterable[str], timeout_s: float) -> None:
        """Wait at most `timeout_s` for the messages of all `joints` and the chunk of a tick [s]."""
        self._joints = frozenset(joints)
        # Joints that no message of the newest stamp has named yet.
        self._missing = set(self._joints)
        self._timeout_s = timeout_s
        self._arrived_at = time.monotonic()
        self._waiting_since: float | None = None
        self._newest_ns = self._ticked_ns = -1

    def answered(self, stamp_ns: int) -> bool:
        """Return whether the tick of this stamp has its command already."""
        return stamp_ns == self._ticked_ns

    def arrive(self, stamp_ns: int, names: Iterable[str]) -> None:
        """Add a message with the joints `names` to its tick; a wait that has begun keeps its start."""
        if stamp_ns != self._newest_ns:
            self._missing = set(self._joints)
        self._missing.difference_update(names)
        self._arrived_at = time.monotonic()
        self._waiting_since = self._waiting_since or self._arrived_at
        self._newest_ns = stamp_ns

    def due(self, switch: PolicySwitch) -> int | None:
        """Return the stamp to command for, None while there is none or it is not complete [ns]."""
        if self._waiting_since is None:
            return None
        needs_chunk = switch.due(self._newest_ns)
        if (needs_chunk or self._missing) and time.monotonic() - self._waiting_since < self._timeout_s:
            return None
        if needs_chunk:
            switch.expire('no chunk arrived within lockstep_timeout_s')
        self._waiting_since = None
        self._ticked_ns = self._newest_ns
        return self._newest_ns

    @property
    def stopped(self) -> bool:
        """Whether the simulation has sent no new stamp for a second, although the last one has its command."""
        return self._waiting_since is None and time.monotonic() - self._arrived_at > _STOPPED_S
