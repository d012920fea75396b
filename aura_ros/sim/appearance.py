# SPDX-License-Identifier: Apache-2.0
"""How the cameras see the scene: their position and the light, to test how robust a policy is."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from aura_ros.common.errors import ConfigError

if TYPE_CHECKING:
    import mujoco

SHIFT_M = 0.1
LIGHT = (0.2, 3.0)


@dataclass(frozen=True)
class Appearance:
    """What differs from the scene that demonstrations are recorded in.

    Raises:
        ConfigError: a value is outside its range.
    """

    camera_shift_m: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Shift of the front camera in the base frame, each number in -0.1..0.1 [m]. The wrist camera is shifted by as much
    in the frame of the hand.
    """
    light: float = 1.0
    """Factor of the light on all surfaces, 0.2..3. The colours of the signals do not change."""

    def __post_init__(self) -> None:
        shift = self.camera_shift_m
        if len(shift) != 3 or not all(math.isfinite(part) and abs(part) <= SHIFT_M for part in shift):
            raise ConfigError(f'camera_shift_m = {shift}, allowed: three numbers in -{SHIFT_M}..{SHIFT_M} m')
        if not LIGHT[0] <= self.light <= LIGHT[1]:
            raise ConfigError(f'light = {self.light}, allowed: {LIGHT[0]}..{LIGHT[1]}')

    def apply(self, model: mujoco.MjModel) -> None:
        """Change the cameras and the light of a model in place."""
        model.cam_pos[:] += np.asarray(self.camera_shift_m)
        model.light_diffuse[:] *= self.light
        for colour in (model.vis.headlight.ambient, model.vis.headlight.diffuse):
            colour[:] *= self.light
