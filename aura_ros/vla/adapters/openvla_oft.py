# SPDX-License-Identifier: Apache-2.0
"""The backbone `openvla_oft`: a released checkpoint of OpenVLA-OFT with L1 head, from a local folder.

It runs in the environment of `./run vla_env openvla_oft`, behind `aura serve`. The features are the mean of the hidden
states of the action tokens, which the action head reads.
"""

import os
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from aura_ros.common.errors import ConfigError, InputError
from aura_ros.common.spec_fields import list_of, mapping_of, one_of
from aura_ros.common.text_files import loading, read_object
from aura_ros.vla.adapters.model_file import (
    ModelFile,
    backbone_hash,
    check_equal,
    completed,
    needed_file,
    read_model_file,
)
from aura_ros.vla.adapters.oft_classes import PLATFORMS, OftClasses, import_classes
from aura_ros.vla.adapters.oft_images import prepare
from aura_ros.vla.adapters.taps import pooled
from aura_ros.vla.protocol import Observation, VlaOutput

TAP = 'action_tokens'
_END_OF_PROMPT = 29871
"""Token that follows `Out:` in the training data."""
_WEIGHTS = ('.json', '.safetensors', '.pt', '.model')


@dataclass(frozen=True)
class OftOptions:
    """The mapping `openvla_oft` in the file of a model; checked on construction.

    Raises:
        ConfigError: a value is unusable.
    """

    platform: str = 'libero'
    """Set of constants of the checkpoint, one of PLATFORMS."""
    unnorm_key: str = ''
    """Data set whose statistics scale actions and state; '' if the checkpoint has one only."""
    device: str = 'cpu'
    """Where the model runs: cpu or cuda."""
    dtype: str = 'bfloat16'
    """Type of the weights: bfloat16 or float32."""
    rotate_180: tuple[str, ...] = ()
    """Cameras whose images are turned by 180 degrees, as for LIBERO."""
    center_crop: bool = True
    """Whether images are cropped to 90 % of their area, for a model that was trained with random crops."""

    def __post_init__(self) -> None:
        one_of('openvla_oft.platform', self.platform, PLATFORMS, 'name the set of constants')
        one_of('openvla_oft.device', self.device, ('cpu', 'cuda'), 'name where the model runs')
        one_of('openvla_oft.dtype', self.dtype, ('bfloat16', 'float32'), 'name the type of the weights')
        if not isinstance(self.center_crop, bool):
            raise ConfigError(f'openvla_oft.center_crop = {self.center_crop!r}: must be true or false; correct it')
        if not isinstance(self.unnorm_key, str):
            raise ConfigError(
                f'openvla_oft.unnorm_key = {self.unnorm_key!r}: must be the name of a data set; correct it'
            )

    @classmethod
    def from_dict(cls, value: object) -> Self:
        """Return the options of a mapping.

        Raises:
            ConfigError: a key is unknown, or a value is unusable.
        """
        found = dict(mapping_of('openvla_oft', value, [one.name for one in fields(cls)], ()))
        if 'rotate_180' in found:
            found['rotate_180'] = tuple(list_of('openvla_oft.rotate_180', found['rotate_180']))
        return cls(**found)  # type: ignore[arg-type]  # __post_init__ checks


class OpenVlaOft:
    """An OpenVLA-OFT checkpoint; implements `Backbone`. One thread."""

    def __init__(self, file: ModelFile, options: OftOptions) -> None:
        """Load the model.

        Raises:
            ConfigError: the folder is no such checkpoint, or does not fit the file.
        """
        # Local files only, without advice for the authors of the classes. The libraries read it when they are imported.
        os.environ['HF_HUB_OFFLINE'] = '1'
        os.environ.setdefault('TRANSFORMERS_VERBOSITY', 'error')
        classes = import_classes(options.platform)
        import torch

        self._torch, self._contract, self._options = torch, file.contract, options
        _check_contract(file, options, classes)
        self._dtype = getattr(torch, options.dtype)
        statistics = read_object(needed_file(file.checkpoint, 'dataset_statistics.json'))
        self._key = _unnorm_key(statistics, options.unnorm_key)
        self._state_bounds = _bounds(statistics[self._key], 'proprio', classes)
        _bounds(statistics[self._key], 'action', classes)
        self._model = self._load_model(classes, file.checkpoint, statistics)
        width = self._model.llm_dim
        head = classes.action_head(input_dim=width, hidden_dim=width, action_dim=classes.action_dim)
        self._head = self._load_part(head, needed_file(file.checkpoint, 'action_head*checkpoint.pt'))
        projector = classes.proprio_projector(llm_dim=width, proprio_dim=classes.state_dim)
        self._projector = self._load_part(projector, needed_file(file.checkpoint, 'proprio_projector*checkpoint.pt'))
        self._image_size = int(self._model.config.image_sizes[0])
        self._image_processor = classes.image_processor.from_pretrained(file.checkpoint)
        self._tokenizer = _tokenizer(file.checkpoint)
        weights = [path for path in file.checkpoint.iterdir() if path.suffix in _WEIGHTS]
        changing = {name: getattr(options, name) for name in ('platform', 'dtype', 'rotate_180', 'center_crop')}
        digest = backbone_hash(weights, changing | {'tap': TAP, 'unnorm_key': self._key})
        complete = completed(file.contract, f'openvla_oft.{TAP}', width, digest)
        self.features, self.spec = complete.features, complete.spec

    def infer(self, observation: Observation) -> VlaOutput:
        """Run the model once; see `Backbone.infer`. The gripper stays in the model's range, 0 closed and 1 open."""
        words, pixels, state = self._inputs(observation)
        with self._torch.inference_mode():
            actions, tokens = self._model.predict_action(
                input_ids=words,
                attention_mask=self._torch.ones_like(words),
                pixel_values=pixels,
                unnorm_key=self._key,
                proprio=state[None],
                proprio_projector=self._projector,
                action_head=self._head,
            )
        return VlaOutput(pooled(tokens), np.ascontiguousarray(actions, np.float32))

    def _inputs(self, observation: Observation) -> tuple[Any, Any, NDArray[np.float32]]:
        """Return tokens int64 [1, T], pixels [1, 6 x cameras, H, W] and the normalised state float32 [S]."""
        torch, options = self._torch, self._options
        prompt = f'In: What action should the robot take to {observation.instruction.lower()}?\nOut:'
        words = self._tokenizer(prompt, return_tensors='pt')['input_ids']
        if words[0, -1] != _END_OF_PROMPT:
            words = torch.cat([words, torch.full((1, 1), _END_OF_PROMPT)], dim=1)
        pixels = [self._pixels(observation, camera) for camera in self._contract.cameras]
        if self._contract.state is None:
            state = observation.joint_positions
        else:
            state = np.concatenate([observation.state[part.name] for part in self._contract.parts])
        if not np.isfinite(state).all():
            raise InputError('state: must be finite')
        stacked = torch.cat(pixels, dim=1).to(options.device, self._dtype)
        return words.to(options.device), stacked, _normalised(state, self._state_bounds)

    def _pixels(self, observation: Observation, camera: str) -> Any:
        from PIL import Image

        if (image := observation.images.get(camera)) is None:
            raise InputError(f'image {camera!r} is missing')
        options = self._options
        prepared = prepare(image, self._image_size, rotate=camera in options.rotate_180, crop=options.center_crop)
        return self._image_processor(Image.fromarray(prepared), return_tensors='pt')['pixel_values']

    def _load_model(self, classes: OftClasses, folder: Path, statistics: dict[str, Any]) -> Any:
        needed_file(folder, 'config.json')
        model, report = classes.model.from_pretrained(
            folder,
            config=classes.config.from_pretrained(folder),
            dtype=self._dtype,
            use_safetensors=True,
            output_loading_info=True,
        )
        if report['missing_keys'] or report['mismatched_keys']:
            name = sorted(map(str, [*report['missing_keys'], *report['mismatched_keys']]))[0]
            raise ConfigError(f'{folder}: the weights have no fitting {name}; is the download complete?')
        model.norm_stats = statistics
        model.vision_backbone.set_num_images_in_input(len(self._contract.cameras))
        return model.to(self._options.device).eval().requires_grad_(False)

    def _load_part(self, part: Any, path: Path) -> Any:
        """Load the weights of a head or projector, saved from one process or from parallel training."""
        weights = self._torch.load(path, map_location='cpu', weights_only=True)
        part.load_state_dict({name.removeprefix('module.'): value for name, value in weights.items()})
        return part.to(self._options.device, self._dtype).eval().requires_grad_(False)


def load_openvla_oft(path: str | None, checkpoint: str | None = None) -> OpenVlaOft:
    """Return the backbone of a YAML file; the factory of `backbone: openvla_oft`.

    Raises:
        ConfigError: the file or the folder is unusable, or the classes are not installed.
    """
    file = read_model_file(path, 'openvla_oft', checkpoint)
    options = OftOptions.from_dict(file.options)
    with loading(str(file.checkpoint)):
        return OpenVlaOft(file, options)


def _check_contract(file: ModelFile, options: OftOptions, classes: OftClasses) -> None:
    """Raise ConfigError if the file does not fit the constants of the platform."""
    contract = file.contract
    assert contract.features is not None
    one_of('features.tap', contract.features.tap, (TAP,), 'name the tap of OpenVLA-OFT')
    one_of('features.pool', contract.features.pool, ('mean',), 'the tap gives several tokens')
    if unknown := sorted(set(options.rotate_180) - set(contract.cameras)):
        raise ConfigError(f'openvla_oft.rotate_180 = {unknown}: must be some of {", ".join(contract.cameras)}')
    if not contract.cameras:
        raise ConfigError('cameras = []: must name the cameras in the order of the training; add them')
    what = f'with platform {options.platform}'
    check_equal(f'chunk_size {what}', contract.actions.chunk_size, classes.chunk_size)
    check_equal(f'columns of an action {what}', contract.actions.dims, classes.action_dim)
    check_equal(f'values of the state {what}', sum(part.dims for part in contract.parts), classes.state_dim)


def _unnorm_key(statistics: dict[str, Any], wanted: str) -> str:
    key = wanted or (next(iter(statistics)) if len(statistics) == 1 else '')
    one_of('openvla_oft.unnorm_key', key, tuple(statistics), 'name the data set of the checkpoint')
    return key


def _bounds(statistics: Any, name: str, classes: OftClasses) -> tuple[NDArray[np.float64], ...]:
    """Return lower and upper bound, and which columns are normalised, of actions or of the state."""
    ends = ('q01', 'q99') if classes.uses_quantiles else ('min', 'max')
    length = classes.action_dim if name == 'action' else classes.state_dim
    found = statistics.get(name) if isinstance(statistics, dict) else None
    if not isinstance(found, dict) or not all(end in found for end in ends):
        raise ConfigError(f'dataset_statistics.json: {name} must have {" and ".join(ends)}')
    low, high = (np.asarray(found[end], np.float64) for end in ends)
    mask = np.asarray(found.get('mask', [True] * length), bool)
    if any(part.shape != (length,) for part in (low, high, mask)) or not np.isfinite(low + high).all():
        raise ConfigError(f'dataset_statistics.json: {name} must have {length} finite values')
    return low, high, mask


def _normalised(state: NDArray[np.float32], bounds: tuple[NDArray[np.float64], ...]) -> NDArray[np.float32]:
    """Return the state scaled to -1..1 and clipped, as in the training."""
    low, high, mask = bounds
    scaled = 2 * (state - low) / (high - low + 1e-8) - 1
    return np.clip(np.where(mask, scaled, state), -1.0, 1.0).astype(np.float32)


def _tokenizer(folder: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder)
