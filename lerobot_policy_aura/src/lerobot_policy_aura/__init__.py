# SPDX-License-Identifier: Apache-2.0
"""A memory of aura_ros around a policy of LeRobot. The import registers the policy type `aura`."""

try:
    import aura_ros.memory  # noqa: F401
except ImportError as error:
    raise ImportError(
        'lerobot_policy_aura needs aura_ros, of which it uses no ROS: put its repository on PYTHONPATH, '
        'or use the environment of `./run vla_env lerobot`'
    ) from error

from lerobot_policy_aura.configuration_aura import AuraConfig

__all__ = ['AuraConfig']
