# SPDX-License-Identifier: Apache-2.0
"""The lease of an episode: it ends when a client of run_episode has left the graph, so that no robot moves unattended.

Executor thread only; steady clock. An action server receives no identity with a goal. So every client that was in the
graph when the goal was accepted counts as the operator. Clients that join later have no influence.
"""

import time

from rclpy.node import Node

from aura_ros.ros.diagnostics import OK, WARN, Status

# DDS name of the requests that carry goals; the prefix and the suffix are those of all DDS middlewares of ROS 2.
_REQUESTS = 'rq{}Request'


class OperatorLease:
    """Watches the clients of `run_episode` while an episode runs."""

    def __init__(self, node: Node, lease_s: float) -> None:
        """Watch the graph of `node`; `lease_s` is how long an episode outlives its operator [s], 0 = without limit."""
        self._node, self._lease_s = node, lease_s
        self._service = node.resolve_service_name('run_episode/_action/send_goal')
        self._clients: frozenset[object] = frozenset()
        self._gone_since: float | None = None
        self._running = False
        self._ended = ''

    def begin(self) -> None:
        """Remember the clients in the graph; an episode begins."""
        self._clients, self._gone_since = self._present(), None
        self._running, self._ended = True, ''

    def end(self) -> None:
        """Stop watching; the episode has ended."""
        self._running = False

    def expired(self) -> str:
        """Look at the graph; return why the episode has to end, '' if it may go on."""
        if not self._lease_s or not self._running:
            return ''
        present = self._present()
        if present and self._clients <= present:
            self._gone_since = None
            return ''
        if self._gone_since is None:
            self._gone_since = time.monotonic()
        if time.monotonic() - self._gone_since < self._lease_s:
            return ''
        self._ended = (
            f'the operator is gone: a client of run_episode left the graph (operator_lease_s {self._lease_s:g})'
        )
        return self._ended

    def status(self) -> Status:
        """Return the check 'operator'."""
        values = {'lease [s]': f'{self._lease_s:g}'}
        if self._ended:
            return Status(WARN, f'the last episode was ended: {self._ended}', values)
        if not self._running:
            return Status(OK, 'no episode', values)
        if not self._lease_s:
            return Status(OK, 'not watched, because operator_lease_s is 0', values)
        if self._gone_since is not None:
            return Status(WARN, 'a client of run_episode left the graph; the episode ends', values)
        return Status(OK, 'connected', values)

    def _present(self) -> frozenset[object]:
        ends = self._node.get_publishers_info_by_topic(_REQUESTS.format(self._service), no_mangle=True)
        if ends:
            return frozenset(bytes(end.endpoint_gid) for end in ends)
        # Without the names of DDS only their number is known.
        return frozenset(range(self._node.count_clients(self._service)))
