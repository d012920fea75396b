# SPDX-License-Identifier: Apache-2.0
"""Configuration of the policy type `aura`."""

from dataclasses import dataclass

from lerobot.configs.policies import PreTrainedConfig


@PreTrainedConfig.register_subclass('aura')
@dataclass
class AuraConfig(PreTrainedConfig):
    """Where the frozen policy and the memory are. `python -m lerobot_policy_aura` writes it."""

    model_file: str = ''
    """YAML file of the frozen policy, such as config/vla/so101_smolvla.yaml of aura_ros."""
    checkpoint: str = ''
    """Folder of the frozen policy, in place of that in the file."""
    memory: str = 'aura'
    """Kind of the memory: aura, elmur, kv, none, or module:factory."""
    weights: str = ''
    """Weights of the memory, a .safetensors file."""

    def validate_features(self) -> None:
        """Accept the inputs of the frozen policy, which `AuraPolicy` checks."""

    def get_optimizer_preset(self) -> None:
        """Return nothing, because LeRobot trains neither the frozen policy nor the memory."""

    def get_scheduler_preset(self) -> None:
        """Return nothing, as `get_optimizer_preset`."""

    @property
    def observation_delta_indices(self) -> None:
        """One observation at a time."""
        return

    @property
    def action_delta_indices(self) -> None:
        """Nothing is trained on actions."""
        return

    @property
    def reward_delta_indices(self) -> None:
        """Nothing is trained on rewards."""
        return
