# SPDX-License-Identifier: Apache-2.0
"""Training sequences that become longer as a memory learns them."""

from dataclasses import dataclass

_RECENT = 0.1
"""Weight of the last loss in the mean of late."""


@dataclass(frozen=True)
class GrowthRule:
    """When sequences become longer.

    A count of thirteen is not learned before that of twelve, so the length waits for the memory. With a fixed
    schedule, a training that is slow with short sequences meets long ones too early, and goes back to guesses.
    """

    known: float = 0.04
    """They become longer by a step when the mean loss of late is below this share of the first loss of the training."""
    forced_from: float = 0.6
    """Fraction of the steps from which they become longer at any loss."""
    whole_from: float = 0.7
    """Fraction of the steps from which they are whole."""


class Growth:
    """Length of the training sequences.

    Attributes:
        length: of the next sequences [steps].
    """

    def __init__(self, rule: GrowthRule, first: int, whole: int, first_loss: float) -> None:
        """Begin with `first` steps and end with `whole`; `first_loss` is that of the untrained memory."""
        self._rule, self._first, self._whole = rule, first, whole
        self._good = rule.known * first_loss
        self._loss = first_loss
        self.length = min(first, whole)

    def update(self, loss: float, done: float) -> None:
        """Take the loss of a step into account, after which the fraction `done` of the steps is done."""
        rule = self._rule
        self._loss += _RECENT * (loss - self._loss)
        forced = (done - rule.forced_from) / (rule.whole_from - rule.forced_from)
        least = round(self._first + (self._whole - self._first) * min(max(forced, 0.0), 1.0))
        self.length = min(self._whole, max(self.length + (self._loss < self._good), least))
