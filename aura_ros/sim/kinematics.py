# SPDX-License-Identifier: Apache-2.0
"""Inverse kinematics of the embedded arm: damped least squares that pull the elbow to a rest posture."""

from collections import OrderedDict

import mujoco
import numpy as np
from numpy.typing import NDArray

from aura_ros.sim.world import HOME_JOINTS, World

Floats = NDArray[np.float64]

DOWN = np.diag([-1.0, 1.0, -1.0])
"""Orientation of a tip that points down: x axis backward, z axis to the table."""


class InverseKinematics:
    """Joint angles for a tip position with the gripper pointing down. It works on a copy of the state.

    The latest solutions are kept, because an expert that previews its motion asks for most of them again.
    """

    KEPT = 16

    def __init__(self, world: World) -> None:
        self._model = world.model
        self._scratch = mujoco.MjData(world.model)
        joints = [world.model.joint(f'joint{i}') for i in range(1, 8)]
        self._qpos = np.array([joint.qposadr[0] for joint in joints])
        self._dofs = np.array([joint.dofadr[0] for joint in joints])
        self._site = world.model.site('tip').id
        lower, upper = world.joint_limits
        self._lower, self._upper = lower[:7], upper[:7]
        self._damping = 1e-4 * np.eye(6)
        self._rest = np.asarray(HOME_JOINTS)
        self._solved: OrderedDict[tuple[bytes, bytes, float, int], Floats] = OrderedDict()

    def solve(self, start: Floats, position: Floats, yaw: float = 0.0, iterations: int = 12) -> Floats:
        """Return joint angles [rad], float64 [7].

        Args:
            start: initial joint angles [rad], [7]; close to the solution if called at every control step.
            position: tip position in the base frame [m], [3].
            yaw: rotation of the gripper about the vertical [rad].
            iterations: Gauss-Newton steps; 12 suffice for a few centimetres, 200 for any posture.
        """
        start, position = np.asarray(start, np.float64), np.asarray(position, np.float64)
        key = (start.tobytes(), position.tobytes(), yaw, iterations)
        if key not in self._solved:
            if len(self._solved) == self.KEPT:
                self._solved.popitem(last=False)
            self._solved[key] = self._solve(start, position, yaw, iterations)
        return self._solved[key].copy()

    def _solve(self, q: Floats, position: Floats, yaw: float, iterations: int) -> Floats:
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
            turn = now @ wanted.T
            error[3:] = 0.5 * (turn - turn.T)[(1, 2, 0), (2, 0, 1)]  # half the sum of the cross products of the axes
            if np.abs(error).max() < 1e-4:
                break
            mujoco.mj_jacSite(self._model, self._scratch, jacobian[:3], jacobian[3:], self._site)
            J = jacobian[:, self._dofs]
            rest = 0.3 * (self._rest - q)
            # J# (error - J rest) + rest: the pull to the rest posture acts only where it does not move the tip
            change = J.T @ np.linalg.solve(J @ J.T + self._damping, error - J @ rest) + rest
            q = np.minimum(np.maximum(q + change, self._lower), self._upper)
        return q
