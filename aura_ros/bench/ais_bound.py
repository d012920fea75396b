# SPDX-License-Identifier: Apache-2.0
"""How much value is lost by acting on a memory's state instead of on the whole history: the AIS bound.

Source: J. Subramanian, A. Sinha, R. Seraj, A. Mahajan, "Approximate information state for approximate planning and
reinforcement learning in partially observed systems", JMLR 23(12), 2022, arXiv 2010.08843: the theorem on approximate
dynamic programming, finite horizon and discounted. Its statement here follows A. Mahajan's lecture notes, "Approximate
Information States" and "From approximation bounds to learning" (github.com/adityam/stochastic-control, AIS-course).

A state Z = sigma(H) of the history H with a model (r', P') of its own is an (eps, delta) approximate information state
if for every history h and action a

    (AP1)  |E[R | h, a] - r'(sigma(h), a)| <= eps
    (AP2)  d_F(law of the next Z given h and a, P'(sigma(h), a)) <= delta

with an integral probability metric d_F(mu, nu) = sup over f in F of |mu(f) - nu(f)|. Let V' be the optimal value of
the model and rho the Minkowski functional of F, so that |mu(f) - nu(f)| <= rho(f) d_F(mu, nu). The policy that is
optimal in the model, applied to Z, then loses against the best policy of the history at most

    worst case        2 (eps + gamma rho(V') delta) / (1 - gamma)
    over T steps      2 sum_t gamma^t (eps + gamma rho(V'_t+1) delta)

Here actions change the reward of their own step and nothing that follows, so the law of the history is the same for
all policies, and the proof holds step by step in expectation too (the notes' sample-path bound):

    in expectation    2 sum_t gamma^t E[eps(H_t) + gamma rho(V'_t+1) delta(H_t)]

where eps(h) and delta(h) are the differences at that history.

The worst case is vacuous for every memory that ever errs, whatever the model: a wrong answer from a state that is right
for other histories makes |1 - r'| and |0 - r'| both count, so eps >= 1/2 and 2 eps / (1 - gamma) >= Rmax / (1 - gamma)
with Rmax = 1, which no policy can lose more than. No number of samples can rule such a history out.

Total variation is d(mu, nu) = sup over events of |mu - nu|, whose rho is the span of f, its largest minus its smallest
value. The model answers every question right, so V' of a state is 1 if a question is asked now, plus the questions
still expected, which are the same for all states: its span is 1, and 0 at the last step. As V' sees of a state only
whether a question is asked, F may also be the functions of that alone; what comes next does not depend on the memory,
and delta = 0. The gap between the two is what total variation gives away.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aura_ros.common.stats import wilson_interval

GUESSING = 7 / 8
"""Share of the questions that a guess among eight classes gets wrong."""


@dataclass(frozen=True)
class Share:
    """A share of independent episodes, with an interval of 97.5 %: two of them hold together in 95 %."""

    count: int
    trials: int

    @property
    def mean(self) -> float:
        """The share."""
        return self.count / self.trials

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's interval."""
        return wilson_interval(self.count, self.trials, 0.975)


def weights(gamma: float, steps: int) -> NDArray[np.float64]:
    """What each step counts in a discounted sum over `steps`, as shares of 1.

    gamma = 1 is the finite horizon without a discount.
    """
    powers = _powers(gamma, steps)
    return np.asarray(powers / powers.sum())


def steps_that_count(gamma: float, steps: int) -> float:
    """The sum of gamma^t over t < steps: what a reward of 1 at every step is worth."""
    return float(_powers(gamma, steps).sum())


def loss_bound(epsilon: float, delta: float, gamma: float, steps: int, span: float = 1.0) -> float:
    """Most value a policy loses, over the whole episode.

    Args:
        epsilon: error of the reward, averaged with `weights` or the worst.
        delta: distance of the laws of the next state, averaged or the worst; times `span` at most what is left over.
        gamma: discount, 0..1.
        steps: of the episode.
        span: of the value of the model, largest minus smallest.
    """
    return 2.0 * steps_that_count(gamma, steps) * (epsilon + gamma * span * delta)


def most_to_lose(query: float, gamma: float, steps: int) -> float:
    """The value of answering every question right: no policy loses more, and none needs a theorem for that.

    Args:
        query: probability of a question at every step but the first, which is a binding.
        gamma: discount, 0..1.
        steps: of the episode.
    """
    return query * (steps_that_count(gamma, steps) - 1.0)


def _powers(gamma: float, steps: int) -> NDArray[np.float64]:
    return np.power(gamma, np.arange(steps, dtype=np.float64))
