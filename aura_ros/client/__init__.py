# SPDX-License-Identifier: Apache-2.0
"""Script the robot from Python: a client of the running graph that needs no ROS code.

::

    from aura_ros.client import AuraClient

    with AuraClient() as robot:
        robot.select_policy('aura')
        result = robot.run_episode('touch the red block', max_steps=100)
        print(result.success, result.writes, robot.status().policy)
"""

from aura_ros.client.client import AuraClient
from aura_ros.client.episode import Episode
from aura_ros.client.values import EpisodeResult, GraphError, Progress, RobotStatus, SavedState

__all__ = ['AuraClient', 'Episode', 'EpisodeResult', 'GraphError', 'Progress', 'RobotStatus', 'SavedState']
