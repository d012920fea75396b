# SPDX-License-Identifier: Apache-2.0
"""Which moment the page shows, and whether that is the present. Every view gets the same `Moment`."""

from dataclasses import dataclass
from enum import Enum


class Mode(Enum):
    """What the page shows."""

    EMPTY = 'empty'
    """No step was received yet."""
    LIVE = 'live'
    """The present: steps arrive."""
    QUIET = 'quiet'
    """The last step received, because no more steps arrive."""
    PAUSED = 'paused'
    """The moment at which the page was paused."""
    PAST = 'past'
    """A moment that was selected."""


@dataclass(frozen=True)
class Moment:
    """The moment that the page shows."""

    mode: Mode
    stamp_s: float
    """Time of the moment [s, ROS clock]; 0 for an empty page."""
    policy: str = ''
    """Policy at that moment, with ' (hold)' during a hold; '' when unknown."""

    @property
    def live(self) -> bool:
        """Whether the moment is the present, so that times may be relative to it."""
        return self.mode is Mode.LIVE

    @property
    def frozen(self) -> bool:
        """Whether somebody paused the page or selected a past moment."""
        return self.mode in (Mode.PAUSED, Mode.PAST)
