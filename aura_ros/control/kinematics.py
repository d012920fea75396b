# SPDX-License-Identifier: Apache-2.0
"""Kinematics of an arm by mink and MuJoCo, from an MJCF or URDF file; in the extra `ik`."""

from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from aura_ros.common.errors import ConfigError
from aura_ros.common.limits import TEXT_BYTES
from aura_ros.common.text_files import loading, read_bytes
from aura_ros.control.end_effector import EndEffectorConfig, Floats, Kinematics, Pose
from aura_ros.control.robot import RobotConfig

EMBEDDED = 'embedded'
"""Name of the model of the simulated arm."""
# Iterations of the solver for one goal. From the last command, a goal is one step away.
_ITERATIONS = 10
_REACHED_M, _REACHED_RAD = 1e-5, 1e-4
# Weight of the posture against that of the pose: it only selects among equal solutions.
_POSTURE = 1e-3
# Damping of the solver near singular poses [1].
_DAMPING = 1e-6


def kinematics_of(robot: RobotConfig) -> Kinematics | None:
    """Return the kinematics of the end effector of a robot file; None if it has none.

    Raises:
        ConfigError: mink is not installed, or the model cannot be used.
    """
    return None if robot.end_effector is None else MinkKinematics(robot.end_effector)


class MinkKinematics:
    """The kinematics of one end effector. The other joints of the model stay at their zero position.

    Raises:
        ConfigError: mink is not installed, or the model cannot be used.
    """

    def __init__(self, config: EndEffectorConfig) -> None:
        try:
            import mink
            import mujoco
        except ImportError as error:
            raise ConfigError(f'end_effector needs mink: pip install "aura_ros[ik]" ({error})') from error
        self._mink = mink
        with loading(config.model):
            model = _model(mujoco, config)
        kind = 'site' if mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_SITE, config.frame) >= 0 else 'body'
        if mujoco.mj_name2id(model, getattr(mujoco.mjtObj, f'mjOBJ_{kind.upper()}'), config.frame) < 0:
            raise ConfigError(
                f'end_effector.frame = {config.frame!r}: must be a site, body or link of {config.model}; correct it'
            )
        self._frame = config.frame, kind
        self._places = np.array([model.joint(name).qposadr[0] for name in config.joint_names])
        self._configuration = mink.Configuration(model)
        self._limits = [mink.ConfigurationLimit(model)]
        self._task = mink.FrameTask(config.frame, kind, position_cost=1.0, orientation_cost=1.0)
        self._posture = mink.PostureTask(model, cost=_POSTURE)

    def pose(self, joints: Floats) -> Pose:
        """Return the pose of the end effector; see `Kinematics.pose`."""
        self._configuration.update(self._full(joints))
        found = self._configuration.get_transform_frame_to_world(*self._frame)
        return Pose(found.translation().copy(), found.rotation().as_matrix())

    def solve(self, start: Floats, goal: Pose) -> Floats | None:
        """Return joint positions; see `Kinematics.solve`."""
        mink, configuration = self._mink, self._configuration
        configuration.update(self._full(start))
        self._posture.set_target_from_configuration(configuration)
        turn = mink.SO3.from_matrix(np.asarray(goal.rotation))
        self._task.set_target(mink.SE3.from_rotation_and_translation(turn, goal.position))
        for _ in range(_ITERATIONS):
            error = self._task.compute_error(configuration)
            if np.linalg.norm(error[:3]) < _REACHED_M and np.linalg.norm(error[3:]) < _REACHED_RAD:
                break
            try:
                velocity = mink.solve_ik(
                    configuration, [self._task, self._posture], 1.0, 'daqp', damping=_DAMPING, limits=self._limits
                )
            except mink.MinkError:
                return None
            configuration.integrate_inplace(velocity, 1.0)
        found = np.array(configuration.q[self._places], np.float64)
        return found if np.isfinite(found).all() else None

    def _full(self, joints: Floats) -> Floats:
        found = np.zeros(self._configuration.nq)
        found[self._places] = joints
        return found


def _model(mujoco: Any, config: EndEffectorConfig) -> Any:
    """Return the compiled model with the joints of the end effector and without meshes."""
    path = Path(str(files('aura_ros') / 'sim' / 'scene.xml')) if config.model == EMBEDDED else Path(config.model)
    path = path.expanduser()
    if not path.is_file():
        raise ConfigError(f'end_effector.model = {config.model!r}: must be an MJCF or URDF file; there is no such file')
    read_bytes(path, TEXT_BYTES)  # refuses a file that is too large before MuJoCo reads it
    spec = mujoco.MjSpec.from_file(str(path))
    joints = {joint.name for joint in spec.joints}
    for name in config.joint_names:
        if name not in joints:
            raise ConfigError(
                f'end_effector.joint_names contains {name!r}: must be a joint of {config.model}; correct the name'
            )
    # Kinematics needs no geometry, no dynamics and no other joint.
    others = [joint for joint in spec.joints if joint.name not in config.joint_names]
    for group in (spec.keys, spec.actuators, spec.sensors, spec.equalities, spec.tendons, spec.excludes, spec.pairs):
        for element in list(group):
            spec.delete(element)
    for element in [*spec.geoms, *others, *spec.meshes]:
        spec.delete(element)
    spec.compiler.boundmass = spec.compiler.boundinertia = 1e-3
    return spec.compile()
