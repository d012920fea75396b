# SPDX-License-Identifier: Apache-2.0
"""Which steps are of the present: a step of an earlier time must not replace what a memory keeps."""

from dataclasses import dataclass

from aura_ros.memory.step import Step, StepRefused
from aura_ros.memory.step_order import StepOrder


@dataclass(frozen=True)
class Freshness:
    """The check on a robot. A replay of recorded steps has none."""

    max_age_ns: int
    """Oldest observation whose step is applied [ns]; 0 = no check."""
    tolerance_ns: int
    """How far a stamp may be ahead of now [ns]."""

    def check(self, step: Step, order: StepOrder, now_ns: int) -> None:
        """Raise StepRefused for a step that is not of the present. Nothing changes.

        The stamps of a new episode must be later than the last one applied, also if that was before a restart. The
        last one does not count if it is ahead of now, because then the clock moved back.

        Args:
            step: the next step.
            order: the steps applied before it. A step that the order refuses passes, because that reason is reported.
            now_ns: the time on the clock of the stamps [ns].
        """
        if not self.max_age_ns or not order.look(step.episode_id, step.seq, step.stamp_ns).apply:
            return
        name, age_ns = f'step {step.seq} of {step.episode_id}', now_ns - step.stamp_ns
        if age_ns > self.max_age_ns:
            raise StepRefused(
                'stale', f'{name} was ignored: {age_ns * 1e-9:.3f} s old; max_age_s allows {self.max_age_ns * 1e-9:g} s'
            )
        if -age_ns > self.tolerance_ns:
            raise StepRefused(
                'future',
                f'{name} was ignored: {-age_ns * 1e-9:.3f} s ahead of the clock; stamp_tolerance_s allows '
                f'{self.tolerance_ns * 1e-9:g} s',
            )
        if step.stamp_ns <= order.stamp_ns <= now_ns + self.tolerance_ns:
            raise StepRefused(
                'old_stamp', f'{name} was ignored: its stamp is not later than that of the last step applied'
            )
