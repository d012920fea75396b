# SPDX-License-Identifier: Apache-2.0
"""Settings of the policy switch."""

from dataclasses import dataclass

from aura_ros.common.errors import ConfigError
from aura_ros.common.names import Policy


@dataclass(frozen=True)
class SwitchConfig:
    """How the switch uses chunks.

    Raises:
        ConfigError: a value outside its range.
    """

    n_action_steps: int = 4
    """Actions of a chunk that are commanded before the next chunk is due [1]."""
    grace_ticks: int = 2
    """Control periods that a chunk may be used beyond that, before the robot is held [1]."""
    max_age_ns: int = 500_000_000
    """Oldest observation that may move the robot, when its chunk arrives and while it plays [ns]."""
    future_tolerance_ns: int = 20_000_000
    """How far a stamp may be ahead of now [ns]."""
    policy: Policy = Policy.BASE
    """Who drives first."""

    def __post_init__(self) -> None:
        ranges = {
            'n_action_steps': (1, 1000),
            'grace_ticks': (0, 100),
            'max_age_ns': (1_000_000, 60_000_000_000),
            'future_tolerance_ns': (0, 10_000_000_000),
        }
        for name, (low, high) in ranges.items():
            value = getattr(self, name)
            if not isinstance(value, int) or not low <= value <= high:
                raise ConfigError(f'{name} = {value!r}: must be a whole number in {low}..{high}')
