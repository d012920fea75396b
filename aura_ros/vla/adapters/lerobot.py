# SPDX-License-Identifier: Apache-2.0
"""The backbone `lerobot`: SmolVLA, pi0, pi0.5, ACT and GR00T of LeRobot, from a local folder, with their processors.

LeRobot needs a Python of its own, so this module runs in the environment of `./run vla_env lerobot`, behind
`aura serve`. Flow policies draw noise. Here the noise is fixed, so that the same observation gives the same output.
"""

from typing import Any

import numpy as np

from aura_ros.common.errors import ConfigError, InputError
from aura_ros.common.text_files import loading
from aura_ros.vla.adapters.lerobot_policy import IMAGE, STATE, LerobotOptions, TappedPolicy
from aura_ros.vla.adapters.model_file import ModelFile, read_model_file
from aura_ros.vla.protocol import Observation, VlaOutput


class LerobotBackbone:
    """A policy of LeRobot; implements `Backbone`. One thread."""

    def __init__(self, file: ModelFile, options: LerobotOptions) -> None:
        """Load the policy, and run it once to learn the length of its features.

        Raises:
            ConfigError: the folder is no such policy, or does not fit the file.
        """
        self.tapped = TappedPolicy(file, options)
        contract = self.tapped.contract()
        self._contract, self.features, self.spec = contract, contract.features, contract.spec

    def infer(self, observation: Observation) -> VlaOutput:
        """Run the policy once; see `Backbone.infer`."""
        return self.tapped.run(self.tapped.preprocess(self.batch(observation)))

    def batch(self, observation: Observation) -> dict[str, Any]:
        """Return the observation as LeRobot's processors take it, images as float [3, H, W] in 0..1.

        Raises:
            InputError: an input is missing or not finite.
        """
        import torch

        contract = self._contract
        values = [observation.joint_positions]
        if contract.state is not None:
            values = [observation.state[part.name] for part in contract.parts]
        state = np.concatenate(values).astype(np.float32)
        if not np.isfinite(state).all():
            raise InputError('state: must be finite')
        batch: dict[str, Any] = {STATE: torch.from_numpy(state), 'task': observation.instruction}
        for camera in contract.cameras:
            if (image := observation.images.get(camera)) is None:
                raise InputError(f'image {camera!r} is missing')
            pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)  # a copy: arrays of the wire are read-only
            batch[IMAGE + camera] = pixels.to(torch.float32) / 255
        return batch


def load_lerobot(path: str | None, checkpoint: str | None = None) -> LerobotBackbone:
    """Return the backbone of a YAML file; the factory of `backbone: lerobot`.

    Raises:
        ConfigError: the file or the folder is unusable, or LeRobot is not installed.
    """
    file = read_model_file(path, 'lerobot', checkpoint)
    options = LerobotOptions.from_dict(file.options)
    try:
        import lerobot  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            "backbone 'lerobot' needs lerobot, which has an environment of its own: "
            './run serve --backbone lerobot sets it up and serves it'
        ) from error
    with loading(str(file.checkpoint)):
        return LerobotBackbone(file, options)
