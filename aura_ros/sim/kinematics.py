# SPDX-License-Identifier: Apache-2.0
"""Inverse kinematics of the embedded arm: damped least squares that pull the elbow to a rest posture."""

import mujoco
import numpy as np
from numpy.typing import NDArray

from aura_ros.sim.world import HOME_JOINTS, World

Floats = NDArray[np.float64]

DOWN = np.diag([-1.0, 1.0, -1.0])
"""Orientation of a tip that points down: x axis backward, z axis to the table."""


class InverseKinematics:
    """Joint angles for a tip position with the gripper pointing down. It works on a copy of the state."""

    def __init__(self, world: World) -> None:
        self._model = world.model
        self._scratch = mujoco.MjData(world.model)
        joints = [world.model.joint(f'joint{i}') for i in range(1, 8)]
        self._qpos = np.array([joint.qposadr[0] for joint in joints])
        self._dofs = np.array([joint.dofadr[0] for joint in joints])
        self._site = world.model.site('tip').id
        lower, upper = world.joint_limits
        self._lower, self._upper = lower[:7], upper[:7]
        self._rest = np.asarray(HOME_JOINTS)

    def solve(self, start: Floats, position: Floats, yaw: float = 0.0, iterations: int = 12) -> Floats:
        """Return joint angles [rad], float64 [7].

        Args:
            start: initial joint angles [rad], [7]; close to the solution if called at every control step.
            position: tip position in the base frame [m], [3].
            yaw: rotation of the gripper about the vertical [rad].
            iterations: Gauss-Newton steps; 12 suffice for a few centimetres, 200 for any posture.
        """
        q = np.array(start, dtype=np.float64)
        c, s = np.cos(yaw), np.sin(yaw)
        wanted = np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]]) @ DOWN
        jacobian = np.zeros((6, self._model.nv))
        for _ in range(iterations):
            self._scratch.qpos[self._qpos] = q
            mujoco.mj_kinematics(self._model, self._scratch)
            mujoco.mj_comPos(self._model, self._scratch)
            error = np.empty(6)
            error[:3] = position - self._scratch.site_xpos[self._site]
            now = self._scratch.site_xmat[self._site].reshape(3, 3)
            error[3:] = 0.5 * np.cross(now.T, wanted.T).sum(axis=0)
            if np.abs(error).max() < 1e-4:
                break
            mujoco.mj_jacSite(self._model, self._scratch, jacobian[:3], jacobian[3:], self._site)
            J = jacobian[:, self._dofs]
            inverse = J.T @ np.linalg.inv(J @ J.T + 1e-4 * np.eye(6))
            rest = (np.eye(7) - inverse @ J) @ (self._rest - q)
            q = np.clip(q + inverse @ error + 0.3 * rest, self._lower, self._upper)
        return q
