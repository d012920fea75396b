# SPDX-License-Identifier: Apache-2.0
"""The physical world of the embedded robot: one MuJoCo scene, position-controlled joints, two cameras.

Arrays
    joint positions   float64 [8]: joint1..joint7 [rad], finger_joint [m] (distance of each finger from closed)
    joint velocities  float64 [8]: [rad/s], [m/s]
    images            uint8 [128, 128, 3], RGB
    block positions   float64 [3]: centre of the block in the base frame [m]

Use the class from one thread: an OpenGL context belongs to the thread that created it.
"""

import os
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.resources import files
from types import MappingProxyType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from aura_ros.common.errors import ConfigError, InputError
from aura_ros.sim.appearance import Appearance

if 'DISPLAY' not in os.environ:
    # Without it, MuJoCo tries a window system first and fails when it renders. It reads the variable at import.
    os.environ.setdefault('MUJOCO_GL', 'egl')
try:
    import mujoco
except ImportError as error:  # pragma: no cover - depends on the installation
    raise ConfigError('the embedded simulator needs MuJoCo: pip install "aura_ros[sim]"') from error

Floats = NDArray[np.float64]

JOINT_NAMES = (*(f'joint{i}' for i in range(1, 8)), 'finger_joint')
BLOCKS = ('red', 'green', 'blue')
PARCEL = 'parcel'
SIDES = ('left', 'middle', 'right')
"""Names of the pads and of the three lamps, as the robot sees them: left is +y."""
CAMERAS = ('front', 'wrist')
IMAGE_SIZE = (128, 128)
CONTROL_PERIOD = 0.05
"""Time between two commands [s]: control runs at 20 Hz."""

COLOURS: Mapping[str, tuple[float, float, float]] = MappingProxyType(
    {'red': (1.0, 0.12, 0.12), 'green': (0.12, 0.85, 0.22), 'blue': (0.2, 0.32, 1.0)}
)
DARK = (0.12, 0.12, 0.12)
GO = (1.0, 1.0, 1.0)
HOME_TIP = (0.36, 0.0, 0.26)
"""Position of the finger tips between rounds [m]."""
HOME_JOINTS = (0.0, 0.2847, 0.0, 1.9915, 0.0, 0.8654, 0.0)
FINGER_OPEN = 0.04
PARKED = (-2.0, 0.0, -0.7)
PREVIEWED = 16
"""Largest number of steps of previews that are kept."""


class World:
    """The scene and its physics. Close it, or use it as a context manager, to free the renderer.

    Args:
        appearance: how the cameras see it; it does not change the physics.
    """

    def __init__(self, appearance: Appearance | None = None) -> None:
        self.model = mujoco.MjModel.from_xml_string((files(__package__) / 'scene.xml').read_text())
        (appearance or Appearance()).apply(self.model)
        self.data = mujoco.MjData(self.model)
        self._renderer: mujoco.Renderer | None = None
        self._substeps = round(CONTROL_PERIOD / self.model.opt.timestep)
        joints = [self.model.joint(name) for name in JOINT_NAMES]
        self._qpos = np.array([joint.qposadr[0] for joint in joints])
        self._qvel = np.array([joint.dofadr[0] for joint in joints])
        self._mirror = int(self.model.joint('finger_mirror').qposadr[0])
        self._lower, self._upper = self.model.actuator_ctrlrange.T.copy()
        self._fingers = {self.model.geom(name).id for name in ('finger_left', 'finger_right')}
        self._block_geoms = {self.model.geom(name).id: name for name in (*BLOCKS, PARCEL)}
        self._free = {name: int(self.model.body(name).jntadr[0]) for name in (*BLOCKS, PARCEL)}
        self._previewed: OrderedDict[bytes, mujoco.MjData] = OrderedDict()
        self._in_preview = False
        self._before = mujoco.MjData(self.model)
        self.reset()

    def reset(self, finger: float = 0.0) -> None:
        """Put the arm at home, every block off the table, every light off.

        Args:
            finger: distance of each finger from closed [m].
        """
        mujoco.mj_resetData(self.model, self.data)
        home = np.append(HOME_JOINTS, finger)
        self.data.qpos[self._qpos] = home
        self.data.qpos[self._mirror] = finger
        self.data.ctrl[:] = home
        for index, name in enumerate((*BLOCKS, PARCEL)):
            self.park(name, index)
        for light in ('beacon', 'lamp', 'go_sign', *(f'lamp_{side}' for side in SIDES)):
            self.set_light(light, DARK)
        self.show_pads(False)
        self.show_lamps(False)
        mujoco.mj_forward(self.model, self.data)

    def close(self) -> None:
        """Free the renderer; the next `render` creates a new one."""
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @property
    def joint_positions(self) -> Floats:
        """Measured joint positions, float64 [8]."""
        return np.array(self.data.qpos[self._qpos])

    @property
    def joint_velocities(self) -> Floats:
        """Measured joint velocities, float64 [8]."""
        return np.array(self.data.qvel[self._qvel])

    @property
    def joint_limits(self) -> tuple[Floats, Floats]:
        """Lower and upper position limits, float64 [8] each."""
        return self._lower.copy(), self._upper.copy()

    @property
    def tip(self) -> Floats:
        """Position between the finger tips in the base frame [m], float64 [3]."""
        return np.array(self.data.site('tip').xpos)

    @property
    def tip_rotation(self) -> Floats:
        """Orientation of the gripper in the base frame: the matrix whose columns are its axes, float64 [3, 3]."""
        return np.array(self.data.site('tip').xmat).reshape(3, 3)

    def step(self, target: NDArray[np.floating]) -> None:
        """Hold the joint targets for one control period (50 ms).

        Args:
            target: joint positions to reach, [8]; the actuators stop at the limits of the joints.

        Raises:
            InputError: the shape is wrong or a number is not finite.
        """
        target = np.asarray(target, dtype=np.float64)
        if target.shape != (len(JOINT_NAMES),) or not np.isfinite(target).all():
            raise InputError(f'joint targets = {target!r}, allowed: {len(JOINT_NAMES)} finite numbers')
        key = self.save().tobytes() + target.tobytes()
        known = self._previewed.get(key)
        if known is not None:
            mujoco.mj_copyData(self.data, self.model, known)
            return
        self.data.ctrl[:] = target
        mujoco.mj_step(self.model, self.data, self._substeps)
        if self._in_preview:
            self._keep(key)

    @contextmanager
    def preview(self) -> Iterator[None]:
        """Run a block that moves the robot, and restore the physics afterwards. Previews cannot be nested.

        The results of the block's steps are kept. `step` uses one again if state and targets are the same bit by bit.
        So a robot that does what a preview showed is simulated once.
        """
        mujoco.mj_copyData(self._before, self.model, self.data)
        self._in_preview = True
        try:
            yield
        finally:
            self._in_preview = False
            mujoco.mj_copyData(self.data, self.model, self._before)

    def _keep(self, key: bytes) -> None:
        """Keep a copy of the present state for `step`, in place of the oldest one."""
        full = len(self._previewed) == PREVIEWED
        kept = self._previewed.popitem(last=False)[1] if full else mujoco.MjData(self.model)
        mujoco.mj_copyData(kept, self.model, self.data)
        self._previewed[key] = kept

    def open_hand(self) -> None:
        """Move the fingers apart at once; the actuators control them again from the next step on."""
        for address in (self._qpos[-1], self._mirror):
            self.data.qpos[address] = FINGER_OPEN
        self.data.qvel[self._qvel[-1]] = 0.0
        mujoco.mj_forward(self.model, self.data)

    def save(self) -> Floats:
        """Return the complete physical state, for `load`."""
        state = np.empty(mujoco.mj_stateSize(self.model, mujoco.mjtState.mjSTATE_INTEGRATION))
        mujoco.mj_getState(self.model, self.data, state, mujoco.mjtState.mjSTATE_INTEGRATION)
        return state

    def load(self, state: Floats) -> None:
        """Restore a saved state; lights and pads keep their state."""
        mujoco.mj_setState(self.model, self.data, state, mujoco.mjtState.mjSTATE_INTEGRATION)
        mujoco.mj_forward(self.model, self.data)

    def touched(self) -> tuple[str, ...]:
        """Return the names of the blocks that a finger touches."""
        found: dict[str, None] = {}  # a dict keeps the order
        for pair in self.data.contact.geom.tolist():
            for finger, block in (pair, pair[::-1]):
                if finger in self._fingers and block in self._block_geoms:
                    found[self._block_geoms[block]] = None
        return tuple(found)

    def block_position(self, name: str) -> Floats:
        """Return the centre of a block in the base frame [m], float64 [3]."""
        return np.array(self.data.body(name).xpos)

    def place(self, name: str, x: float, y: float, yaw: float = 0.0) -> None:
        """Put a block at rest on the table: x, y [m], yaw [rad]."""
        self._set_pose(name, (x, y, 0.0241), yaw)

    def park(self, name: str, index: int = 0) -> None:
        """Move a block off the table, out of the view of the cameras."""
        self._set_pose(name, (PARKED[0], 0.2 * index, PARKED[2]), 0.0)

    def _set_pose(self, name: str, position: tuple[float, float, float], yaw: float) -> None:
        joint = self._free[name]
        address, velocity = self.model.jnt_qposadr[joint], self.model.jnt_dofadr[joint]
        self.data.qpos[address : address + 7] = (*position, np.cos(yaw / 2), 0, 0, np.sin(yaw / 2))
        self.data.qvel[velocity : velocity + 6] = 0
        mujoco.mj_kinematics(self.model, self.data)

    def set_light(self, name: str, rgb: tuple[float, float, float]) -> None:
        """Colour 'beacon', 'lamp', 'go_sign' or one of the three lamps, such as 'lamp_left'; rgb in 0..1."""
        self.model.geom(name).rgba[:3] = rgb

    def light(self, name: str) -> tuple[float, float, float]:
        """Return the present colour of a light, rgb in 0..1."""
        r, g, b = (float(value) for value in self.model.geom(name).rgba[:3])
        return r, g, b

    def show_pads(self, visible: bool) -> None:
        """Show or hide the three pads for the parcel."""
        for side in SIDES:
            self.model.geom(f'pad_{side}').rgba[3] = float(visible)

    def show_lamps(self, visible: bool) -> None:
        """Show or hide the three lamps with names."""
        for side in SIDES:
            self.model.geom(f'lamp_{side}').rgba[3] = float(visible)

    def render(self, camera: str) -> NDArray[np.uint8]:
        """Return an image of a camera.

        Args:
            camera: 'front' or 'wrist'.

        Returns:
            uint8 [128, 128, 3], RGB.

        Raises:
            InputError: there is no such camera.
        """
        if camera not in CAMERAS:
            raise InputError(f'camera = {camera!r}, allowed: {", ".join(CAMERAS)}')
        if self._renderer is None:
            self._renderer = mujoco.Renderer(self.model, *IMAGE_SIZE)
            # On a software renderer, shadow maps take 14 times as long as the rest of the image.
            self._renderer.scene.flags[mujoco.mjtRndFlag.mjRND_SHADOW] = False
            self._renderer.scene.flags[mujoco.mjtRndFlag.mjRND_REFLECTION] = False
        self._renderer.update_scene(self.data, camera)
        return np.array(self._renderer.render())
