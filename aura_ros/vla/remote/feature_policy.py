# SPDX-License-Identifier: Apache-2.0
"""A wrapper that adds features to a policy of an openpi server, on the machine that runs the policy."""

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from aura_ros.common.errors import InputError


class Policy(Protocol):
    """A policy as openpi-client defines it."""

    def infer(self, obs: dict[str, Any]) -> dict[str, Any]:
        """Return a map with `actions`."""

    def reset(self) -> None:
        """Begin a new episode."""


class FeaturePolicy:
    """Adds `features` to each answer of a policy. It wraps the whole policy, because openpi's output transforms keep
    only the actions.

        server = WebsocketPolicyServer(FeaturePolicy(policy, tap), metadata=contract.to_metadata())
    """

    def __init__(self, base: Policy, tap: Callable[[], object]) -> None:
        """Wrap a policy.

        Args:
            base: the policy.
            tap: returns the features of the last `infer`, float [D], or [..., D] of several tokens, which are averaged.
        """
        self._base, self._tap = base, tap

    def infer(self, obs: dict[str, Any]) -> dict[str, Any]:
        """Return the answer of the policy with `features`, float32 [D].

        Raises:
            InputError: the tap returned no finite features.
        """
        answer = dict(self._base.infer(obs))
        tokens = np.asarray(self._tap(), np.float32)
        if not tokens.size or not np.isfinite(tokens).all():
            raise InputError(f'the tap returned an array of shape {tokens.shape} with values that are not finite')
        return answer | {'features': tokens.reshape(-1, tokens.shape[-1]).mean(0)}

    def reset(self) -> None:
        """Begin a new episode."""
        self._base.reset()
