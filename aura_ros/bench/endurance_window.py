# SPDX-License-Identifier: Apache-2.0
"""The course of an endurance walk, and what a memory did in one window of it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aura_ros.bench.streams import PIECE, Kind
from aura_ros.bench.synthetic_report import CHANCE
from aura_ros.common.errors import ConfigError
from aura_ros.common.stats import wilson_interval

GROWING = ('kv',)
"""Memories that grow with every step."""
PATIENCE = 2
"""Windows at chance in a row that end a walk."""
EVENTS = (Kind.BINDING, Kind.REBINDING)


@dataclass(frozen=True)
class Course:
    """How far the memories walk.

    Raises:
        ConfigError: a value is out of range.
    """

    steps: int = 1_000_000
    """Steps without a reset."""
    window: int = 10_000
    """Steps of a window. The last window also has the steps of an incomplete one."""
    entries: int = 65_536
    """Largest number of entries of a memory that grows."""
    compared: int = 4096
    """First steps that the NumPy memory repeats."""

    def __post_init__(self) -> None:
        for name in ('steps', 'window', 'entries'):
            if getattr(self, name) < 1:
                raise ConfigError(f'{name} must be >= 1, got {getattr(self, name)}')
        if not 1 <= self.compared <= PIECE:
            raise ConfigError(f'compared must be 1..{PIECE}, got {self.compared}')


@dataclass(frozen=True)
class Window:
    """What a memory did in the steps before `end`. Counts by kind are in the order of `Kind`."""

    end: int
    """Number of steps so far."""
    shown: tuple[int, ...]
    """Steps of each kind."""
    written: tuple[int, ...]
    """Steps of each kind that were written."""
    right: int
    """Queries with the right answer."""
    state_norm: float
    """Norm of the state at the end."""

    @property
    def steps(self) -> int:
        """Number of steps."""
        return sum(self.shown)

    @property
    def queries(self) -> int:
        """Number of queries."""
        return self.shown[Kind.QUERY]

    @property
    def interval(self) -> tuple[float, float]:
        """95 % Wilson interval of the accuracy."""
        return wilson_interval(self.right, self.queries)

    @property
    def at_chance(self) -> bool:
        """Whether the interval of the accuracy does not lie above chance."""
        return self.interval[0] <= CHANCE

    def fired(self, *kinds: Kind) -> float | None:
        """Return the share of the steps of these kinds that was written; None without such steps."""
        return _share(sum(self.written[kind] for kind in kinds), sum(self.shown[kind] for kind in kinds))

    def row(self) -> dict[str, Any]:
        """Return the figures of the report."""
        low, high = self.interval
        return {
            'end': self.end,
            'steps': self.steps,
            'queries': self.queries,
            'accuracy': _share(self.right, self.queries),
            'accuracy_low': round(low, 5),
            'accuracy_high': round(high, 5),
            'writes_per_step': _share(sum(self.written), self.steps),
            'fire_event': self.fired(*EVENTS),
            'fire_distractor': self.fired(Kind.DISTRACTOR),
            'fire_repeat': self.fired(Kind.REPEAT),
            'fire_query': self.fired(Kind.QUERY),
            'state_norm': round(self.state_norm, 4),
        }


class Tally:
    """Counts the steps of one window."""

    def __init__(self) -> None:
        self._shown, self._written = np.zeros(len(Kind), np.int64), np.zeros(len(Kind), np.int64)
        self._right = 0

    def add(self, kind: NDArray[np.int64], written: NDArray[np.bool_], right: NDArray[np.bool_]) -> None:
        """Count steps. `right` is counted at queries only."""
        self._shown += np.bincount(kind, minlength=len(Kind))
        self._written += np.bincount(kind[written], minlength=len(Kind))
        self._right += int(right[kind == Kind.QUERY].sum())

    def window(self, end: int, state_norm: float) -> Window:
        """Return the window that ends after `end` steps."""
        return Window(end, tuple(self._shown.tolist()), tuple(self._written.tolist()), self._right, state_norm)


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 6) if whole else None
