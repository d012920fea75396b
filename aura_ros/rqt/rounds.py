# SPDX-License-Identifier: Apache-2.0
"""The rounds of a simulated task, from its events. No Qt, no ROS."""

from collections.abc import Sequence
from dataclasses import dataclass

from aura_ros.common.names import EventKind
from aura_ros.rqt.points import TaskPoint

_ENDS = (EventKind.ROUND_SUCCESS, EventKind.ROUND_FAILURE)


@dataclass(frozen=True)
class Rounds:
    """The rounds of the newest episode, as far as their events were received."""

    task: str
    number: int
    """Round of the newest event, from 1."""
    solved: int
    ended: int


def rounds(events: Sequence[TaskPoint]) -> Rounds | None:
    """Return the rounds of the newest episode in events, oldest first; None without events."""
    if not events:
        return None
    newest = events[-1]
    solved = ended = 0
    number = newest.round
    for event in reversed(events):
        if event.round > number:  # of an earlier episode, which counted on
            break
        number = event.round
        solved += event.kind == EventKind.ROUND_SUCCESS
        ended += event.kind in _ENDS
    return Rounds(newest.task, newest.round + 1, solved, ended)
