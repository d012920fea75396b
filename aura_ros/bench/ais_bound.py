# SPDX-License-Identifier: Apache-2.0
"""The AIS bound: the largest loss of value from acting on the state of a memory instead of the whole history.

Source: J. Subramanian, A. Sinha, R. Seraj, A. Mahajan, "Approximate information state for approximate planning and
reinforcement learning in partially observed systems", JMLR 23(12), 2022, arXiv 2010.08843: the theorem on approximate
dynamic programming, finite horizon and discounted. This statement follows the lecture notes of A. Mahajan, "Approximate
Information States" and "From approximation bounds to learning" (github.com/adityam/stochastic-control, AIS-course).

A state Z = sigma(H) of the history H with a model (r', P') is an (eps, delta) approximate information state if, for
every history h and action a,

    (AP1)  |E[R | h, a] - r'(sigma(h), a)| <= eps
    (AP2)  d_F(law of the next Z given h and a, P'(sigma(h), a)) <= delta

with an integral probability metric d_F(mu, nu) = sup over f in F of |mu(f) - nu(f)|. Let V' be the optimal value of
the model and rho the Minkowski functional of F, so that |mu(f) - nu(f)| <= rho(f) d_F(mu, nu). The optimal policy of
the model, applied to Z, then loses at most this value against the best policy with full history:

    worst case        2 (eps + gamma rho(V') delta) / (1 - gamma)
    over T steps      2 sum_t gamma^t (eps + gamma rho(V'_t+1) delta)

Here an action changes only the reward of its own step, so all policies have the same law of the history. The proof
therefore also holds step by step in expectation (the sample-path bound of the notes):

    in expectation    2 sum_t gamma^t E[eps(H_t) + gamma rho(V'_t+1) delta(H_t)]

where eps(h) and delta(h) are the differences at history h.

The worst case is vacuous for every memory that ever errs, with any model. Let a state give a wrong answer for one
history and the right one for another. Then both |1 - r'| and |0 - r'| are bounded by eps, so eps >= 1/2 and
2 eps / (1 - gamma) >= Rmax / (1 - gamma) with Rmax = 1, which is the largest possible loss. No number of samples can
exclude such a history.

Total variation is d(mu, nu) = sup over events of |mu - nu|. Its rho is the span of f, the largest minus the smallest
value. The model answers every query right. So V' of a state is 1 if the step is a query, plus the expected number of
later queries, which is the same for all states. The span of V' is 1, and 0 at the last step. V' depends only on
whether the step is a query, so F can also be the functions of that alone. The memory does not influence the next step,
so delta is then 0. The difference between the two bounds is the price of total variation.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aura_ros.common.stats import wilson_interval

GUESSING = 7 / 8
"""Share of wrong answers of a guess among eight classes."""


@dataclass(frozen=True)
class Share:
    """A share of independent episodes with a 97.5 % interval; two such intervals hold jointly with 95 %."""

    count: int
    trials: int

    @property
    def mean(self) -> float:
        """The share, count / trials."""
        return self.count / self.trials

    @property
    def interval(self) -> tuple[float, float]:
        """97.5 % Wilson interval."""
        return wilson_interval(self.count, self.trials, 0.975)


def weights(gamma: float, steps: int) -> NDArray[np.float64]:
    """Return the weight of each step in a discounted sum over `steps`; the weights sum to 1.

    gamma = 1 is the finite horizon without discount.
    """
    powers = _powers(gamma, steps)
    return np.asarray(powers / powers.sum())


def discounted_steps(gamma: float, steps: int) -> float:
    """Return the sum of gamma^t over t < steps: the value of a reward of 1 at every step."""
    return float(_powers(gamma, steps).sum())


def loss_bound(epsilon: float, delta: float, gamma: float, steps: int, span: float = 1.0) -> float:
    """Return the largest loss of value over a whole episode.

    Args:
        epsilon: error of the reward, worst case or averaged with `weights`.
        delta: distance of the laws of the next state, worst case or averaged with `weights`.
        gamma: discount, 0..1.
        steps: length of the episode.
        span: largest minus smallest value of the model.
    """
    return 2.0 * discounted_steps(gamma, steps) * (epsilon + gamma * span * delta)


def perfect_value(query: float, gamma: float, steps: int) -> float:
    """Return the value of all answers right, which is the largest possible loss.

    Args:
        query: probability of a query at every step but the first, which is a binding.
        gamma: discount, 0..1.
        steps: length of the episode.
    """
    return query * (discounted_steps(gamma, steps) - 1.0)


def _powers(gamma: float, steps: int) -> NDArray[np.float64]:
    return np.power(gamma, np.arange(steps, dtype=np.float64))
