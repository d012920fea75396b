# SPDX-License-Identifier: Apache-2.0
"""A policy with end-effector deltas drives the simulated arm through the whole graph, and stays within the limits."""

import numpy as np
import pytest

pytest.importorskip('mujoco')
pytest.importorskip('mink')

from aura_ros.msg import ActionChunk, VlaStep
from delta_policy import ARM, COMPONENTS, GOAL
from ros_graph import CONFIG
from whole_graph import WholeGraph

from aura_ros.common.action_codes import components_of
from aura_ros.control.kinematics import MinkKinematics
from aura_ros.ros import qos

pytestmark = [pytest.mark.graph, pytest.mark.render]
ROBOT = ('--params-file', str(CONFIG / 'sim_arm_delta.yaml'))
TASK = {'simulation': 'aura_ros.sim:Simulation', 'task': 'visible'}


def test_a_policy_with_deltas_moves_the_simulated_arm(graph):
    steps = graph.listen(VlaStep, 'vla_step', qos.step())
    chunks = graph.listen(ActionChunk, 'aura/action_chunk', qos.chunk())
    whole = WholeGraph(
        graph,
        lockstep=True,
        rounds=1,
        robot=ROBOT,
        sim=TASK,
        vla={'backbone': 'delta_policy:DeltaVla', 'pose_topic': 'end_effector_pose'},
        policies={'memory': 'delta_policy:memory'},
    )
    whole.begin(max_steps=20)
    graph.until(lambda: len(whole.commands) >= 70, '70 commands', 120)
    driven = np.array([np.array(command.points[0].positions) for command in whole.commands])
    arm = MinkKinematics(ARM)
    tips = np.array([arm.pose(joints[:7]).position for joints in driven])
    assert np.abs(tips[-1] - GOAL).max() < 0.01, 'the tip is at the goal'
    # 0.5 m/s and 20 commands a second.
    assert np.linalg.norm(np.diff(tips, axis=0), axis=1).max() < 0.025 + 1e-3
    assert (np.abs(np.diff(driven, axis=0)) <= 0.15 + 1e-6).all(), 'the limits of the joints hold after the kinematics'
    # The gripper opens, and closes at the goal.
    assert driven[:, 7].max() == pytest.approx(0.04) and driven[-1, 7] == pytest.approx(0.0)
    for messages in (steps, chunks):
        assert messages and all(components_of(message, 7) == COMPONENTS for message in messages)
    assert not any(status.rejected for status in whole.statuses)
