# SPDX-License-Identifier: Apache-2.0
"""Passes on each message of a publisher once, although two subscriptions receive it. Executor thread only."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:  # the rclpy of Jazzy does not have it
    from rclpy.subscription import MessageInfo

MsgT = TypeVar('MsgT')

# A message that overtook another one is at most this much earlier [s, steady clock]. Later, an older send time means
# that the publisher's clock was set back.
_OVERTAKEN_S = 1.0
# Publishers whose newest message is known [1]; the oldest entry is dropped first.
_PUBLISHERS = 64


def publisher_id(info: MessageInfo) -> bytes:
    """Return the global id of the publisher that sent a message.

    It is empty where the middleware gives none, and on Jazzy, whose rclpy does not report it.
    """
    return bytes((info.get('publisher_gid') or {}).get('data', b''))


class NewestOnly(Generic[MsgT]):
    """A callback for several subscriptions of one topic.

    It skips a message that is equal in publisher and send time to the last one, or was overtaken by it. Middlewares
    without send times pass on every message.
    """

    def __init__(self, callback: Callable[[MsgT], None]) -> None:
        """Pass messages to `callback`."""
        self._callback = callback
        self._newest: dict[bytes, tuple[int, float]] = {}

    def __call__(self, message: MsgT, info: MessageInfo) -> None:
        """Take a message."""
        sent_ns, now = info['source_timestamp'], time.monotonic()
        publisher = publisher_id(info)
        last_ns, last_at = self._newest.pop(publisher, (0, -math.inf))
        # Without the publisher, an earlier send time can be that of another computer.
        overtaken = bool(publisher) and sent_ns < last_ns and now - last_at < _OVERTAKEN_S
        repeated = sent_ns == last_ns or overtaken
        if sent_ns and repeated:
            self._newest[publisher] = last_ns, last_at
            return
        self._newest[publisher] = sent_ns, now
        if len(self._newest) > _PUBLISHERS:
            del self._newest[next(iter(self._newest))]
        self._callback(message)
