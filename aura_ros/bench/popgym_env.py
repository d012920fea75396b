# SPDX-License-Identifier: Apache-2.0
"""Episodes of POPGym as a memory sees them: flat observations, actions of a chunk, and the advice of the expert.

gymnasium flattens the observations: one-hot codes of discrete parts, and the values of continuous ones. Where POPGym
says that the observation needs the previous action, its own wrapper adds it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aura_ros.bench.popgym_experts import Action, Advice, family_of

TRAIN, VALIDATE, EVALUATE = range(3)
"""Splits of the seeds; two splits, or two training seeds, share no episode."""
_EPISODES = 10**6
"""Most episodes of one split of one training seed."""
NEAR = 0.1
"""A continuous action agrees with that of the expert if it is within this share of the range."""

Floats = NDArray[np.float32]
Choose = Callable[[Floats, Advice], Action]
"""Takes an observation [D] and the advice of the expert, and returns the action to execute."""


@dataclass(frozen=True)
class Episode:
    """One episode of T steps."""

    z: Floats
    """Observations, [T, D]."""
    targets: NDArray[Any]
    """Actions of the expert: numbers, int64 [T], or parts of the largest action, float32 [T, A] in -1..1."""
    counts: NDArray[np.bool_]
    """Steps whose reward depends on the action, [T]."""
    agrees: NDArray[np.bool_]
    """Steps at which the executed action is that of the expert, [T]."""
    total: float
    """Return: the sum of the rewards, as POPGym defines them."""


class Game:
    """An environment of POPGym with its expert.

    Args:
        name: id, for example 'CountRecallEasy'.

    Attributes:
        feature_dim: length of an observation, D.
        action_dim: scores of a discrete action, or values of a continuous one, A.
        discrete: whether actions are numbers.
        one_hot: whether observations are one-hot codes, which need no scale.

    Raises:
        ModuleNotFoundError: POPGym is not installed.
    """

    def __init__(self, name: str) -> None:
        from gymnasium.spaces import Box, Discrete, flatdim
        from popgym import envs
        from popgym.wrappers import PreviousAction

        env = getattr(envs, name)()
        self._env: Any = PreviousAction(env) if env.obs_requires_prev_action else env
        self._family = family_of(name)
        self.feature_dim = int(flatdim(self._env.observation_space))
        self.discrete = isinstance(self._env.action_space, Discrete)
        self.one_hot = not isinstance(self._env.observation_space, Box)
        self.action_dim = int(flatdim(self._env.action_space))

    def play(self, seed: int, choose: Choose) -> Episode:
        """Play one episode.

        Args:
            seed: seed of the environment.
            choose: decides the actions.
        """
        observation, _ = self._env.reset(seed=seed)
        expert, total, ended = self._family.expert(self._env.unwrapped), 0.0, False
        rows: list[tuple[Floats, Any, bool, bool]] = []
        while not ended:
            z, advice = self._flat(observation), expert(observation)
            action = choose(z, advice)
            rows.append((z, self._target(advice.action), advice.counts, self._agrees(action, advice.action)))
            observation, reward, terminated, truncated, _ = self._env.step(action)
            total, ended = total + float(reward), terminated or truncated
        z, targets, counts, agrees = (np.array(column) for column in zip(*rows, strict=True))
        return Episode(z, targets, counts, agrees, total)

    def action(self, chunk: Floats) -> Action:
        """Return the action of a chunk [1, A]: that of the highest score, or the values times the largest action."""
        if self.discrete:
            return int(chunk[0].argmax())
        return np.asarray(chunk[0].clip(-1.0, 1.0) * self._env.action_space.high, np.float32)

    def random_actions(self, seed: int) -> Callable[[], Action]:
        """Return a source of uniform random actions."""
        space, rng = self._env.action_space, np.random.default_rng(seed)
        if self.discrete:
            return lambda: int(rng.integers(space.n))
        return lambda: rng.uniform(space.low, space.high).astype(np.float32)

    def _flat(self, observation: Any) -> Floats:
        from gymnasium.spaces import flatten

        return np.asarray(flatten(self._env.observation_space, observation), np.float32)

    def _target(self, action: Action) -> Action:
        return action if self.discrete else np.asarray(action / self._env.action_space.high, np.float32)

    def _agrees(self, action: Action, wanted: Action) -> bool:
        if self.discrete:
            return action == wanted
        space = self._env.action_space
        return bool((np.abs(action - wanted) <= NEAR * (space.high - space.low)).all())


def episode_seed(split: int, seed: int, index: int) -> int:
    """Return the seed of an episode.

    Args:
        split: TRAIN, VALIDATE or EVALUATE.
        seed: training seed, >= 0.
        index: number of the episode, less than a million.
    """
    return (3 * seed + split) * _EPISODES + index


def demonstrations(name: str, split: int, seed: int, count: int) -> list[Episode]:
    """Return episodes of the expert; a share of the actions is random where its family asks for that."""
    game, noise = Game(name), family_of(name).noise
    rng, draw = np.random.default_rng((split, seed)), game.random_actions(episode_seed(split, seed, 0))

    def choose(_: Floats, advice: Advice) -> Action:
        return draw() if noise and rng.random() < noise else advice.action

    return [game.play(episode_seed(split, seed, index), choose) for index in range(count)]
