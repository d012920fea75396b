# SPDX-License-Identifier: Apache-2.0
"""The policy type `aura`: a frozen policy, and one step of a memory for each of its inferences."""

import uuid
from collections import deque
from pathlib import Path
from typing import Any, Self

import torch
from lerobot.configs.policies import PreTrainedConfig
from lerobot.policies.pretrained import PreTrainedPolicy
from torch import Tensor

from aura_ros.common.errors import ConfigError
from aura_ros.memory import KINDS, Decision, Memory, MemorySession, Step, load_memory, load_weights
from aura_ros.vla.adapters.lerobot_policy import TappedPolicy
from aura_ros.vla.remote.contract import Contract
from lerobot_policy_aura.configuration_aura import AuraConfig
from lerobot_policy_aura.processor_aura import frozen_policy


class AuraPolicy(PreTrainedPolicy):
    """A frozen policy with a memory. Its actions have the units of the robot.

    Attributes:
        decision: what the memory did at the last inference; None before the first.
    """

    config_class = AuraConfig
    name = 'aura'

    def __init__(self, config: AuraConfig, **_: Any) -> None:
        """Load the frozen policy and the memory.

        Raises:
            ConfigError: one of them is unusable, or the memory is not trained for this policy.
        """
        super().__init__(config)
        self._frozen = TappedPolicy(*frozen_policy(config))
        if getattr(self._frozen.config, 'use_relative_actions', False):
            # LeRobot's programs hold another pre-processor than the frozen policy, so its post-processor has no state.
            raise ConfigError(
                'use_relative_actions = True in the checkpoint: must be false inside LeRobot, where the state that the '
                'actions are relative to is not known; use the backbone lerobot of aura_ros'
            )
        self._contract = self._frozen.contract()
        memory = load_memory(config.memory, config.weights or None)
        _check_memory(memory, config, self._contract)
        self._session = MemorySession(memory)
        self.reset()

    @classmethod
    def from_pretrained(cls, path: str | Path, *, config: PreTrainedConfig | None = None, **_: Any) -> Self:
        """Return the policy of a folder, whose weights are in the files that its configuration names."""
        return cls(config or PreTrainedConfig.from_pretrained(path))

    def reset(self) -> None:
        """Begin an episode: the memory is emptied at its first step."""
        self.decision: Decision | None = None
        self._episode, self._steps = str(uuid.uuid4()), 0
        self._queue: deque[Tensor] = deque()

    def get_optim_params(self) -> dict[str, Any]:
        """Return nothing, because LeRobot trains neither the frozen policy nor the memory."""
        return {}

    def forward(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Any] | None]:
        """Refuse training."""
        raise NotImplementedError('LeRobot does not train this policy; train its memory with `aura train memory`')

    @torch.no_grad()
    def predict_action_chunk(self, batch: dict[str, Tensor]) -> Tensor:
        """Run the frozen policy and one step of the memory; return the chunk, [1, chunk_size, action_dim]."""
        output, timing = self._frozen.run(dict(batch)), self._contract.actions
        period_ns = round(timing.seconds_per_action * timing.n_action_steps * 1e9)
        step = Step(
            episode_id=self._episode,
            seq=self._steps,
            stamp_ns=1 + self._steps * period_ns,
            features=output.features,
            base_action=output.actions,
            seconds_per_action=timing.seconds_per_action,
            backbone_hash=self._contract.backbone_hash,
            components=self._contract.spec.components,
        )
        self.decision = self._session.apply(step).decision
        self._steps += 1
        return torch.from_numpy(self.decision.action.copy())[None]

    @torch.no_grad()
    def select_action(self, batch: dict[str, Tensor], **_: Any) -> Tensor:
        """Return the next action, [1, action_dim]; a new chunk is computed after n_action_steps of them."""
        if not self._queue:
            self._queue.extend(self.predict_action_chunk(batch)[0, : self._contract.actions.n_action_steps])
        return self._queue.popleft()[None]


def _check_memory(memory: Memory, config: AuraConfig, contract: Contract) -> None:
    """Raise ConfigError if a memory is not trained for a policy."""
    fix = 'train a memory on the features of this policy'
    if memory.backbone_hash and memory.backbone_hash != contract.backbone_hash:
        raise ConfigError(
            f'the memory is trained for the policy {memory.backbone_hash[:12]}, and this one is '
            f'{contract.backbone_hash[:12]}; {fix}'
        )
    spec = contract.spec
    wanted = (spec.feature_dim, (spec.chunk_size, spec.action_dim))
    if (memory.feature_dim, memory.chunk_shape) != wanted:
        raise ConfigError(
            f'the memory takes {memory.feature_dim} features and chunks of {memory.chunk_shape}, and this policy has '
            f'{wanted[0]} and {wanted[1]}; {fix}'
        )
    if config.memory in KINDS and config.memory != 'none':
        weights = load_weights(config.memory, config.weights or None)
        if problem := weights.spec_problem(contract.actions):
            raise ConfigError(f'{problem}; {fix}')
