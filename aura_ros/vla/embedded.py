# SPDX-License-Identifier: Apache-2.0
"""The embedded frozen VLA: a small model trained in simulation, run by ONNX Runtime on one CPU core."""

import hashlib
from importlib.resources import files
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from aura_ros.common.action_spec import spec_of
from aura_ros.common.errors import ConfigError, InputError
from aura_ros.common.limits import WEIGHTS_BYTES
from aura_ros.common.state_spec import StateSpec
from aura_ros.common.text_files import loading, read_bytes, read_object
from aura_ros.vla.protocol import BackboneSpec, Observation, VlaOutput
from aura_ros.vla.text import embed

# The key that names an external file in an ONNX tensor; its place in the message is free.
_EXTERNAL = b'\x08location'


class EmbeddedVla:
    """The embedded backbone; implements `Backbone`.

    Args:
        path: an .onnx file with its card (.json) beside it; None uses the file of the package.

    Raises:
        ConfigError: a file is missing or cannot be used.
    """

    def __init__(self, path: str | None = None) -> None:
        file = Path(path) if path else Path(str(files('aura_ros.vla') / 'weights' / 'embedded.onnx'))
        for needed in (file, file.with_suffix('.json')):
            if not needed.is_file():
                raise ConfigError(f'embedded VLA: file {needed} does not exist: train it with `aura train vla`')
        weights, card = read_bytes(file, WEIGHTS_BYTES), file.with_suffix('.json')
        with loading(str(card)):
            self.spec = _spec(read_object(card), weights)
        with loading(str(file)):
            self._session = _session(weights, file)

    def infer(self, observation: Observation) -> VlaOutput:
        """Run the model once, about 2 ms on one core; see `Backbone.infer`."""
        joints = np.asarray(observation.joint_positions, dtype=np.float32)
        wanted = (len(self.spec.joint_names),)
        if joints.shape != wanted or not np.isfinite(joints).all():
            raise InputError(f'joint_positions = {joints!r}: must be {wanted[0]} finite numbers')
        inputs = {camera: self._picture(observation, camera) for camera in self.spec.cameras}
        features, actions = self._session.run(
            ('features', 'actions'), {**inputs, 'joints': joints[None], 'text': embed(observation.instruction)[None]}
        )
        return VlaOutput(features[0], actions[0])

    def infer_batch(
        self,
        front: NDArray[np.generic],
        wrist: NDArray[np.generic],
        joints: NDArray[np.generic],
        text: NDArray[np.float32],
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Run a batch of frames whose images already have the trained size; used to train memories.

        Args:
            front: uint8 [B, H, W, 3].
            wrist: uint8 [B, H, W, 3].
            joints: [B, J] [rad, m].
            text: sentence embeddings, float32 [B, 256].

        Returns:
            features [B, D] and actions [B, chunk_size, action_dim].
        """
        pixels = {
            name: np.ascontiguousarray(image.transpose(0, 3, 1, 2), dtype=np.float32) / np.float32(255)
            for name, image in (('front', front), ('wrist', wrist))
        }
        features, actions = self._session.run(
            ('features', 'actions'), {**pixels, 'joints': joints.astype(np.float32), 'text': text}
        )
        return features, actions

    def _picture(self, observation: Observation, camera: str) -> NDArray[np.float32]:
        """Return an image scaled to the trained size, float32 [1, 3, H, W] in 0..1."""
        image = observation.images.get(camera)
        if image is None:
            raise InputError(f'image {camera!r} is missing: the embedded VLA needs {", ".join(self.spec.cameras)}')
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise InputError(f'image {camera!r} is {image.dtype} {image.shape}: must be uint8 [H, W, 3]')
        height, width = self.spec.image_size
        small = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
        return np.ascontiguousarray(small.transpose(2, 0, 1)[None], dtype=np.float32) / np.float32(255)


def _spec(card: dict[str, Any], weights: bytes) -> BackboneSpec:
    height, width = card['image_size']
    actions = spec_of(card)
    return BackboneSpec(
        name=card['name'],
        cameras=tuple(card['cameras']),
        image_size=(height, width),
        joint_names=tuple(card['joint_names']),
        feature_dim=card['feature_dim'],
        chunk_size=card['chunk_size'],
        action_dim=card['action_dim'],
        n_action_steps=card['n_action_steps'],
        seconds_per_action=card['seconds_per_action'],
        backbone_hash=hashlib.sha256(weights).hexdigest(),
        components=actions.components if actions is not None else (),
        state=StateSpec.from_dict(card['state_spec']) if 'state_spec' in card else None,
    )


def _session(weights: bytes, file: Path) -> Any:
    import onnxruntime

    # The hash of the file would not cover weights in other files, which could be anywhere.
    if _EXTERNAL in weights:
        raise ConfigError(f'embedded VLA: {file} refers to weights in another file: save it as one file')
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # more threads are slower at this size
    try:
        return onnxruntime.InferenceSession(weights, options, providers=['CPUExecutionProvider'])
    except Exception as error:  # onnxruntime has no public base class for its exceptions
        raise ConfigError(f'embedded VLA: cannot load {file} as an ONNX model: {error}') from error
