# SPDX-License-Identifier: Apache-2.0
"""The backbone `lerobot`: SmolVLA, pi0, pi0.5 and ACT of LeRobot, from a local folder, with their own processors.

LeRobot needs a Python of its own, so this module runs in the environment of `./run vla_env lerobot`, behind
`aura serve`. Flow policies draw noise. Here the noise is fixed, so that the same observation gives the same output.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

import numpy as np

from aura_ros.common.errors import ConfigError, InputError
from aura_ros.common.spec_fields import check_count, mapping_of, one_of
from aura_ros.common.text_files import loading, read_object
from aura_ros.vla.adapters.model_file import (
    ModelFile,
    backbone_hash,
    check_equal,
    completed,
    needed_file,
    read_model_file,
)
from aura_ros.vla.adapters.taps import InputTap, PrefixTap, Tap, pooled
from aura_ros.vla.protocol import Observation, VlaOutput

TAPS: Mapping[str, Mapping[str, tuple[type[InputTap] | type[PrefixTap], str]]] = {
    'smolvla': {'prefix': (PrefixTap, 'model.vlm_with_expert'), 'expert': (InputTap, 'model.action_out_proj')},
    'pi0': {'prefix': (PrefixTap, 'model.paligemma_with_expert'), 'expert': (InputTap, 'model.action_out_proj')},
    'pi05': {'prefix': (PrefixTap, 'model.paligemma_with_expert'), 'expert': (InputTap, 'model.action_out_proj')},
    'act': {'decoder': (InputTap, 'model.action_head')},
}
"""Type of policy: its taps, the default one first, each with the module that it watches."""
_FLOW = ('smolvla', 'pi0', 'pi05')
_IMAGE = 'observation.images.'
_PROCESSORS = ('policy_preprocessor.json', 'policy_postprocessor.json')


@dataclass(frozen=True)
class LerobotOptions:
    """The mapping `lerobot` in the file of a model; checked on construction.

    Raises:
        ConfigError: a value is unusable.
    """

    device: str = 'cpu'
    """Where the model runs: cpu or cuda."""
    noise_seed: int = 0
    """Seed of the noise of a flow policy, which is the same at each step."""
    vlm: str = ''
    """Folder with configuration and tokenizer of the vision-language model that SmolVLA names; '' takes the name."""

    def __post_init__(self) -> None:
        one_of('lerobot.device', self.device, ('cpu', 'cuda'), 'name where the model runs')
        check_count('lerobot.noise_seed', self.noise_seed, 0, 2**31 - 1)
        if not isinstance(self.vlm, str) or (self.vlm and not Path(self.vlm).expanduser().is_dir()):
            raise ConfigError(f'lerobot.vlm = {self.vlm!r}: must be an existing folder; download it')

    @classmethod
    def from_dict(cls, value: object) -> Self:
        """Return the options of a mapping.

        Raises:
            ConfigError: a key is unknown, or a value is unusable.
        """
        return cls(**mapping_of('lerobot', value, [one.name for one in fields(cls)], ()))  # type: ignore[arg-type]


class LerobotBackbone:
    """A policy of LeRobot; implements `Backbone`. One thread."""

    def __init__(self, file: ModelFile, options: LerobotOptions) -> None:
        """Load the policy, and run it once to learn the length of its features.

        Raises:
            ConfigError: the folder is no such policy, or does not fit the file.
        """
        _offline()
        import torch

        self._torch, self._contract = torch, file.contract
        self._config = config = _config(file.checkpoint, options)
        _check_inputs(config, file)
        self._pre, self._post = _processors(config, file.checkpoint, options)
        self._policy = _policy(config, file.checkpoint)
        self._tap = self._watch(file)
        self._noise = self._fixed_noise(options)
        tap = f'lerobot.{config.type}.{self._tap_name}'
        settings = {'tap': tap, 'noise_seed': options.noise_seed}
        weights = [path for path in file.checkpoint.iterdir() if path.suffix in ('.json', '.safetensors')]
        dim = self._run(self._blank()).features.size
        complete = completed(file.contract, tap, dim, backbone_hash(weights, settings))
        self.features, self.spec = complete.features, complete.spec

    def infer(self, observation: Observation) -> VlaOutput:
        """Run the policy once; see `Backbone.infer`."""
        return self._run(observation)

    def _blank(self) -> Observation:
        contract = self._contract
        height, width = contract.image_size
        images = {camera: np.zeros((height, width, 3), np.uint8) for camera in contract.cameras}
        state = {part.name: np.zeros(part.dims, np.float32) for part in contract.parts}
        return Observation(images, np.zeros(len(contract.joint_names), np.float32), '', state)

    def _watch(self, file: ModelFile) -> Tap:
        taps = TAPS[self._config.type]
        assert file.contract.features is not None
        self._tap_name = file.contract.features.tap
        one_of('features.tap', self._tap_name, tuple(taps), f'name a tap of {self._config.type}')
        one_of('features.pool', file.contract.features.pool, ('mean',), 'a tap gives several tokens')
        kind, module = taps[self._tap_name]
        return kind(self._policy.get_submodule(module))

    def _fixed_noise(self, options: LerobotOptions) -> dict[str, Any]:
        if self._config.type not in _FLOW:
            return {}
        generator = self._torch.Generator().manual_seed(options.noise_seed)
        shape = (1, self._config.chunk_size, self._config.max_action_dim)
        return {'noise': self._torch.randn(shape, generator=generator).to(options.device)}

    def _batch(self, observation: Observation) -> dict[str, Any]:
        """Return the observation as LeRobot's processors take it, images as float [3, H, W] in 0..1."""
        torch, contract = self._torch, self._contract
        values = [observation.joint_positions]
        if contract.state is not None:
            values = [observation.state[part.name] for part in contract.parts]
        state = np.concatenate(values).astype(np.float32)
        if not np.isfinite(state).all():
            raise InputError('state: must be finite')
        batch: dict[str, Any] = {'observation.state': torch.from_numpy(state), 'task': observation.instruction}
        for camera in contract.cameras:
            if (image := observation.images.get(camera)) is None:
                raise InputError(f'image {camera!r} is missing')
            pixels = torch.from_numpy(np.array(image)).permute(
                2, 0, 1
            )  # a copy, because the wire's arrays are read-only
            batch[_IMAGE + camera] = pixels.to(torch.float32) / 255
        return batch

    def _run(self, observation: Observation) -> VlaOutput:
        batch = self._pre(self._batch(observation))
        with self._torch.inference_mode():
            # The post-processor removes padding and normalisation.
            chunk = self._post(self._policy.predict_action_chunk(batch, **self._noise))[0]
        return VlaOutput(pooled(self._tap.tokens), chunk.float().cpu().numpy())


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


def _offline() -> None:
    """Load local files only. The libraries read the variable when they are first imported."""
    os.environ['HF_HUB_OFFLINE'] = '1'


def _config(folder: Path, options: LerobotOptions) -> Any:
    """Return the configuration of the policy, on the device and without a download of the weights that it contains."""
    kind = read_object(needed_file(folder, 'config.json')).get('type')
    one_of('type of the checkpoint', kind, tuple(TAPS), 'use a policy that has a tap')
    from lerobot.configs.policies import PreTrainedConfig
    from lerobot.policies.factory import get_policy_class

    get_policy_class(str(kind))  # registers its configuration
    config = PreTrainedConfig.from_pretrained(folder)
    config.device = options.device
    if hasattr(config, 'compile_model'):
        config.compile_model = False  # hooks and compiled modules do not mix
    if config.type == 'smolvla':
        config.load_vlm_weights = False  # the checkpoint has them
        if options.vlm:
            config.vlm_model_name = str(Path(options.vlm).expanduser())
    return config


def _check_inputs(config: Any, file: ModelFile) -> None:
    """Raise ConfigError if inputs and actions of the checkpoint are not those of the file."""
    inputs, contract = dict(config.input_features), file.contract
    cameras = {name.removeprefix(_IMAGE) for name in inputs if name.startswith(_IMAGE)}
    cameras = {name for name in cameras if not name.startswith('empty_camera')}
    check_equal('cameras', sorted(contract.cameras), sorted(cameras))
    others = [name for name in inputs if not name.startswith(_IMAGE) and name != 'observation.state']
    if others:
        raise ConfigError(f'the checkpoint needs {", ".join(others)}: must need images and observation.state alone')
    if 'observation.state' not in inputs:
        raise ConfigError('the checkpoint needs no observation.state: must need it')
    check_equal('values of the state', sum(part.dims for part in contract.parts), inputs['observation.state'].shape[0])
    check_equal('columns of an action', contract.actions.dims, config.output_features['action'].shape[0])
    check_equal('chunk_size', contract.actions.chunk_size, config.chunk_size)
    check_equal('steps of an observation', 1, config.n_obs_steps)


def _processors(config: Any, folder: Path, options: LerobotOptions) -> tuple[Any, Any]:
    """Return the processors of the folder. Their files may name classes by path, which is code; that is refused."""
    from lerobot.policies.factory import make_pre_post_processors

    steps: list[str] = []
    for name in _PROCESSORS:
        for step in read_object(needed_file(folder, name)).get('steps', []):
            if not isinstance(step, dict) or 'registry_name' not in step:
                raise ConfigError(f'{folder / name}: a step has no registry_name: must be a step of LeRobot')
            steps.append(step['registry_name'])
    overrides: dict[str, dict[str, object]] = {'device_processor': {'device': options.device}}
    if options.vlm:
        overrides['tokenizer_processor'] = {'tokenizer_name': str(Path(options.vlm).expanduser())}
    found: tuple[Any, Any] = make_pre_post_processors(
        config,
        str(folder),
        preprocessor_overrides={name: value for name, value in overrides.items() if name in steps},
        postprocessor_overrides={},
    )
    return found


def _policy(config: Any, folder: Path) -> Any:
    """Return the policy with the weights of the folder; nothing may be left random."""
    import torch
    from lerobot.policies.factory import get_policy_class
    from safetensors import safe_open

    weights = needed_file(folder, 'model.safetensors')
    policy = get_policy_class(config.type).from_pretrained(str(folder), config=config, strict=True)
    policy.to(config.device).eval().requires_grad_(False)
    # Some classes only print that they cannot read a file, and go on with random weights.
    state = policy.state_dict()
    with safe_open(str(weights), 'pt') as file:
        stored = set(file.keys())
        for name in stored & set(state):
            value = file.get_tensor(name).to(state[name].dtype)
            if not torch.equal(value, state[name].cpu()):
                raise ConfigError(f'{weights}: {name} was not loaded')
    if missing := sorted(set(state) - stored):
        shared = {state[name].data_ptr() for name in stored & set(state)}
        missing = [name for name in missing if state[name].data_ptr() not in shared]
        if missing:
            raise ConfigError(f'{weights}: has no {missing[0]} and {len(missing) - 1} more; is it of this version?')
    return policy
