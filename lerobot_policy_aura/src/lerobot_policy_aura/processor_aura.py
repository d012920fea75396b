# SPDX-License-Identifier: Apache-2.0
"""Processors of the policy type `aura`: inputs are those of the frozen policy, and actions have units already."""

from dataclasses import replace
from typing import Any

from lerobot.processor import DeviceProcessorStep, PolicyProcessorPipeline
from lerobot.processor.converters import policy_action_to_transition, transition_to_policy_action

from aura_ros.vla.adapters.lerobot_policy import LerobotOptions, load_config, load_processors
from aura_ros.vla.adapters.model_file import ModelFile, read_model_file
from lerobot_policy_aura.configuration_aura import AuraConfig


def frozen_policy(config: AuraConfig) -> tuple[ModelFile, LerobotOptions]:
    """Return file and options of the frozen policy, on the device of the configuration.

    Raises:
        ConfigError: the file or the folder is missing or unusable.
    """
    file = read_model_file(config.model_file, 'lerobot', config.checkpoint or None)
    return file, replace(LerobotOptions.from_dict(file.options), device=str(config.device or 'cpu'))


def make_aura_pre_post_processors(config: AuraConfig, dataset_stats: Any = None) -> tuple[Any, Any]:
    """Return the processors; LeRobot finds this function by its name.

    Args:
        config: configuration of the policy.
        dataset_stats: not used, because the frozen policy has statistics of its own.
    """
    file, options = frozen_policy(config)
    preprocess, _ = load_processors(load_config(file.checkpoint, options), file.checkpoint, options)
    postprocess = PolicyProcessorPipeline(
        steps=[DeviceProcessorStep(device='cpu')],
        name='policy_postprocessor',
        to_transition=policy_action_to_transition,
        to_output=transition_to_policy_action,
    )
    return preprocess, postprocess
