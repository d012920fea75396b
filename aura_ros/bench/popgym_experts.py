# SPDX-License-Identifier: Apache-2.0
"""Experts for POPGym: the action that a memory learns to imitate at each step.

The expert of most card games reads the hidden state. Its action follows from the observations so far, so a memory can
imitate it without error. In Concentration and in the bandit, the hidden state contains more than the observations
show. Their experts use only what was shown, by a rule that is good but not optimal. CartPole and Pendulum have
controllers that read the full state.

An expert is made for one episode, after its reset. It is called once at each step, before the action.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

Action = int | NDArray[np.float32]
"""The number of an action, or the values of a continuous one."""


@dataclass(frozen=True)
class Advice:
    """What an expert does at one step."""

    action: Action
    """Its action."""
    counts: bool = True
    """Whether the reward depends on the action of this step; if not, the step is not learned and not scored."""


Expert = Callable[[Any], Advice]
"""Takes the observation of a step, as the environment gives it."""


def repeat_first(env: Any, _: Any) -> Advice:
    """Return the suit of the first card."""
    return Advice(int(env.get_state()[0]))


def repeat_previous(env: Any, _: Any) -> Advice:
    """Return the suit of the card k - 1 steps ago; before it, no action is rewarded."""
    return Advice(int(env.get_state()[0][0]), env.deck.hand_size('player') >= env.k)


def count_recall(env: Any, _: Any) -> Advice:
    """Return how often the card that is asked for was dealt."""
    counts, _, (_, query) = env.get_state()
    return Advice(round(float(counts[query]) * env.max_card_count))


def autoencode(env: Any, _: Any) -> Advice:
    """Return the suit of the last card that was not repeated yet; while cards are dealt, no action is rewarded."""
    cards, watching, left = env.get_state()
    return Advice(int(cards[-round(float(left[0]) * len(cards))]), not watching)


def higher_lower(env: Any, rank: Any) -> Advice:
    """Return 0 (the next card is higher) or 1 (lower), whichever has more of the cards that are left."""
    left = 1.0 - env.get_state()
    return Advice(int(left[:rank].sum() > left[rank + 1 :].sum()))


def cart_pole(env: Any, _: Any) -> Advice:
    """Push to the side that a linear controller of the full state asks for."""
    position, velocity, angle, rate = env.get_state()
    return Advice(int(0.3 * position + 0.6 * velocity + 10.0 * angle + 2.0 * rate > 0))


def pendulum(env: Any, _: Any) -> Advice:
    """Add energy until the pendulum is near the top, then hold it there with a linear controller."""
    cosine, sine, rate = (float(part) for part in env.get_state())
    if cosine > 0.9:
        torque = -12.0 * float(np.arctan2(sine, cosine)) - 3.0 * rate
    else:
        # Energy of a rod of unit length and mass, minus that at rest at the top.
        missing = rate * rate / 6.0 + 5.0 * (cosine - 1.0)
        torque = -2.0 * np.sign(missing) * (np.sign(rate) or 1.0)
    return Advice(np.array([np.clip(torque, -2.0, 2.0)], np.float32))


class ConcentrationExpert:
    """Turn over the partner of a card if it was seen, and otherwise the next card that was never turned over."""

    def __init__(self, env: Any) -> None:
        self._env = env
        self._seen: dict[int, int] = {}

    def __call__(self, observation: Any) -> Advice:
        """Return the next card."""
        cards = observation[0]
        self._seen |= {int(i): int(cards[i]) for i in np.flatnonzero(cards != self._env.facedown_card)}
        solved, turned = set(self._env.deck['face_up_idx']), self._env.deck['in_play_idx']
        hidden = {i: card for i, card in self._seen.items() if i not in solved and i not in turned}
        if turned:
            known = [i for i, card in hidden.items() if card == self._seen[turned[0]]]
        else:
            known = [i for i, card in hidden.items() if list(hidden.values()).count(card) > 1]
        unseen = [i for i in range(len(cards)) if i not in self._seen]
        return Advice(min(known or unseen or hidden))


class BanditExpert:
    """Pull the arm with the best upper confidence bound: its mean, and a margin for arms that were pulled less."""

    def __init__(self, env: Any, margin: float = 0.3) -> None:
        self._margin = margin
        self._pulls, self._wins = np.zeros(env.num_bandits), np.zeros(env.num_bandits)
        self._first = True

    def __call__(self, observation: Any) -> Advice:
        """Return the next arm."""
        won, arm = observation
        if not self._first:
            self._pulls[arm] += 1
            self._wins[arm] += won
        self._first = False
        if (self._pulls == 0).any():
            return Advice(int(self._pulls.argmin()))
        bounds = self._wins / self._pulls + self._margin * np.sqrt(np.log(self._pulls.sum()) / self._pulls)
        return Advice(int(bounds.argmax()))


@dataclass(frozen=True)
class Family:
    """What the levels of an environment share."""

    expert: Callable[[Any], Expert]
    """Makes the expert of one episode from its environment."""
    noise: float = 0.0
    """Share of the actions of a demonstration that are random. Then the demonstrations show how to go on after an
    error. It is 0 where actions do not change later observations."""
    crop: int = 0
    """Steps of a training sequence, cut at random from an episode; 0 takes whole episodes."""
    first_length: int = 0
    """Steps of the first training sequences, which begin with the episode and become longer; 0 begins with whole ones.
    It is set where every action depends on all steps before, and the number of steps alone gives a fair guess. Whole
    episodes teach this guess first, and training rarely leaves it. In short ones a count is easier to learn than it."""


def _rule(rule: Callable[[Any, Any], Advice]) -> Callable[[Any], Expert]:
    """Return the maker of an expert without a memory of its own."""
    return lambda env: partial(rule, env)


_CART_POLE = Family(_rule(cart_pole), noise=0.2, crop=64)
_PENDULUM = Family(_rule(pendulum), noise=0.2, crop=64)
FAMILIES = {
    'RepeatFirst': Family(_rule(repeat_first)),
    'RepeatPrevious': Family(_rule(repeat_previous)),
    'CountRecall': Family(_rule(count_recall), first_length=12),
    'Autoencode': Family(_rule(autoencode)),
    'HigherLower': Family(_rule(higher_lower)),
    'Concentration': Family(ConcentrationExpert, noise=0.1),
    'MultiarmedBandit': Family(BanditExpert, noise=0.1),
    'PositionOnlyCartPole': _CART_POLE,
    'NoisyPositionOnlyCartPole': _CART_POLE,
    'VelocityOnlyCartPole': _CART_POLE,
    'PositionOnlyPendulum': _PENDULUM,
    'NoisyPositionOnlyPendulum': _PENDULUM,
}
"""The environments that have an expert, without their level."""
LEVELS = ('Easy', 'Medium', 'Hard')
IDS = tuple(family + level for family in FAMILIES for level in LEVELS)


def family_of(name: str) -> Family:
    """Return the family of an id of `IDS`."""
    return FAMILIES[next(name.removesuffix(level) for level in LEVELS if name.endswith(level))]
