# SPDX-License-Identifier: Apache-2.0
"""Which publisher the steps of a memory come from: another one must not end the running episode."""

import time

from rclpy.node import Node

from aura_ros.memory import Step, StepRefused

_QUERY_EVERY_S = 0.1
# The graph shows a killed publisher for seconds, and a restarted one must not wait for that. So a publisher that was
# silent for this long, and for several of its own step periods, is taken as gone.
_SILENT_S = 1.0
_SILENT_PERIODS = 3.0
_LONGEST_SILENCE_S = 10.0


class StepSource:
    """Binds a memory to the publisher of its last step. Executor thread only. Steady clock.

    Steps of another publisher are refused as long as the first one is in the graph and delivers.
    """

    def __init__(self, node: Node, topic: str) -> None:
        """Bind to no publisher yet; `node` subscribes to `topic`."""
        self._node = node
        self._topic = topic
        self._owner = b''
        self._accepted_at = self._queried_at = 0.0
        self._patience_s = _SILENT_S

    def check(self, step: Step, publisher: bytes) -> None:
        """Raise StepRefused if another publisher delivers the steps; `publisher` is a global id, empty if unknown."""
        if self._owner in (b'', publisher) or self._is_gone():
            return
        raise StepRefused(
            'foreign',
            f'step {step.seq} of {step.episode_id} was ignored: it is from publisher {publisher.hex() or "unknown"}, '
            f'and publisher {self._owner.hex()} delivers the steps; end one of the two',
        )

    def accept(self, publisher: bytes) -> None:
        """Bind to the publisher of a step that was applied."""
        now = time.monotonic()
        if publisher == self._owner:
            period_s = now - self._accepted_at
            self._patience_s = min(max(_SILENT_S, _SILENT_PERIODS * period_s), _LONGEST_SILENCE_S)
        else:
            self._owner, self._patience_s = publisher, _SILENT_S
        self._accepted_at = now

    def _is_gone(self) -> bool:
        now = time.monotonic()
        if now - self._accepted_at > self._patience_s:
            return True
        if now - self._queried_at < _QUERY_EVERY_S:
            return False
        self._queried_at = now
        found = self._node.get_publishers_info_by_topic(self._topic)
        return all(bytes(each.endpoint_gid) != self._owner for each in found)
