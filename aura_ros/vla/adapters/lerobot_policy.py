# SPDX-License-Identifier: Apache-2.0
"""A policy of LeRobot from a local folder, with its processors, fixed noise and a tap. Needs LeRobot.

The adapter `lerobot` and the plugin lerobot_policy_aura use it, so that both have the same features and hash.
"""

import os
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

from aura_ros.common.errors import ConfigError
from aura_ros.common.spec_fields import check_count, mapping_of, one_of
from aura_ros.common.text_files import read_object
from aura_ros.vla.adapters.lerobot_groot import ENCODER, GROOT, base_settings, check_folders, fixed_noise
from aura_ros.vla.adapters.model_file import ModelFile, backbone_hash, check_equal, completed, needed_file
from aura_ros.vla.adapters.taps import InputTap, PrefixTap, Tap, pooled
from aura_ros.vla.protocol import VlaOutput
from aura_ros.vla.remote.contract import Contract

IMAGE = 'observation.images.'
"""Beginning of the keys of images."""
STATE = 'observation.state'
"""Key of the measured values."""
TAPS: Mapping[str, Mapping[str, tuple[type[InputTap] | type[PrefixTap], str]]] = {
    'smolvla': {'prefix': (PrefixTap, 'model.vlm_with_expert'), 'expert': (InputTap, 'model.action_out_proj')},
    'pi0': {'prefix': (PrefixTap, 'model.paligemma_with_expert'), 'expert': (InputTap, 'model.action_out_proj')},
    'pi05': {'prefix': (PrefixTap, 'model.paligemma_with_expert'), 'expert': (InputTap, 'model.action_out_proj')},
    'act': {'decoder': (InputTap, 'model.action_head')},
    GROOT: {
        'prefix': (InputTap, '_groot_model.action_head.vlln'),
        'expert': (InputTap, '_groot_model.action_head.action_decoder'),
    },
}
"""Type of policy: its taps, the default one first, each with the module that it watches."""
_FLOW = ('smolvla', 'pi0', 'pi05')
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
    """Folder with configuration and tokenizer of the vision-language model of SmolVLA or GR00T; with SmolVLA, '' takes
    the name in the checkpoint."""
    base: str = ''
    """Folder of the base model of GR00T; '' with other policies."""

    def __post_init__(self) -> None:
        one_of('lerobot.device', self.device, ('cpu', 'cuda'), 'name where the model runs')
        check_count('lerobot.noise_seed', self.noise_seed, 0, 2**31 - 1)
        for name in ('vlm', 'base'):
            value = getattr(self, name)
            if not isinstance(value, str) or (value and not Path(value).expanduser().is_dir()):
                raise ConfigError(f'lerobot.{name} = {value!r}: must be an existing folder; download it')

    @classmethod
    def from_dict(cls, value: object) -> Self:
        """Return the options of a mapping.

        Raises:
            ConfigError: a key is unknown, or a value is unusable.
        """
        return cls(**mapping_of('lerobot', value, [one.name for one in fields(cls)], ()))  # type: ignore[arg-type]


class TappedPolicy:
    """A frozen policy. One thread.

    Attributes:
        config: configuration of the policy.
        preprocess: LeRobot's processor of an observation.
    """

    def __init__(self, file: ModelFile, options: LerobotOptions) -> None:
        """Load the policy.

        Raises:
            ConfigError: the folder is no such policy, or does not fit the file.
        """
        os.environ['HF_HUB_OFFLINE'] = '1'  # local files only; read when the libraries are first imported
        import torch

        self._torch, self._file, self._options = torch, file, options
        self.config = load_config(file.checkpoint, options)
        _check_inputs(self.config, file)
        self.preprocess, self._postprocess = load_processors(self.config, file.checkpoint, options)
        self.policy = _policy(self.config, file.checkpoint)
        self._tap = self._watch(file.contract)
        self._noise = self._fixed_noise()

    def run(self, batch: dict[str, Any]) -> VlaOutput:
        """Run the policy once.

        Args:
            batch: result of `preprocess`.

        Returns:
            features, and the chunk in the units of the robot.
        """
        with self._torch.inference_mode(), self._drawn_noise():
            # The post-processor removes padding and normalisation.
            chunk = self._postprocess(self.policy.predict_action_chunk(batch, **self._noise))[0]
        return VlaOutput(pooled(self._tap.tokens), chunk.float().cpu().numpy())

    def contract(self) -> Contract:
        """Return the contract with tap, length of the features and hash. It runs the policy once on blank inputs."""
        torch, contract = self._torch, self._file.contract
        height, width = contract.image_size
        blank: dict[str, Any] = {IMAGE + camera: torch.zeros(3, height, width) for camera in contract.cameras}
        blank |= {STATE: torch.zeros(self.config.input_features[STATE].shape), 'task': ''}
        output = self.run(self.preprocess(blank))
        check_equal('chunk_size', contract.actions.chunk_size, output.actions.shape[0])
        tap = f'lerobot.{self.config.type}.{self._tap_name}'
        folder = self._file.checkpoint
        weights = [path for path in folder.iterdir() if path.suffix in ('.json', '.safetensors')]
        settings: dict[str, object] = {'tap': tap, 'noise_seed': self._options.noise_seed}
        if self.config.type == GROOT:
            settings['base'] = base_settings(self.policy)
        return completed(contract, tap, output.features.size, backbone_hash(weights, settings))

    def _watch(self, contract: Contract) -> Tap:
        taps = TAPS[self.config.type]
        assert contract.features is not None
        self._tap_name = contract.features.tap
        one_of('features.tap', self._tap_name, tuple(taps), f'name a tap of {self.config.type}')
        one_of('features.pool', contract.features.pool, ('mean',), 'a tap gives several tokens')
        kind, module = taps[self._tap_name]
        return kind(self.policy.get_submodule(module))

    def _fixed_noise(self) -> dict[str, Any]:
        if self.config.type not in _FLOW:
            return {}
        generator = self._torch.Generator().manual_seed(self._options.noise_seed)
        shape = (1, self.config.chunk_size, self.config.max_action_dim)
        return {'noise': self._torch.randn(shape, generator=generator).to(self._options.device)}

    def _drawn_noise(self) -> AbstractContextManager[None]:
        if self.config.type != GROOT:
            return nullcontext()
        return fixed_noise(self._options.noise_seed, self._options.device)


def load_config(folder: Path, options: LerobotOptions) -> Any:
    """Return the configuration of the policy, on the device and without a download of the weights that it contains."""
    kind = read_object(needed_file(folder, 'config.json')).get('type')
    one_of('type of the checkpoint', kind, tuple(TAPS), 'use a policy that has a tap')
    if kind == GROOT:
        check_folders(options.base, options.vlm)
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
    if config.type == GROOT:
        config.base_model_path = str(Path(options.base).expanduser())
    return config


def _check_inputs(config: Any, file: ModelFile) -> None:
    """Raise ConfigError if inputs and actions of the checkpoint are not those of the file."""
    inputs, contract = dict(config.input_features), file.contract
    cameras = {name.removeprefix(IMAGE) for name in inputs if name.startswith(IMAGE)}
    cameras = {name for name in cameras if not name.startswith('empty_camera')}
    check_equal('cameras', sorted(contract.cameras), sorted(cameras))
    others = [name for name in inputs if not name.startswith(IMAGE) and name != STATE]
    if others:
        raise ConfigError(f'the checkpoint needs {", ".join(others)}: must need images and observation.state alone')
    if STATE not in inputs:
        raise ConfigError('the checkpoint needs no observation.state: must need it')
    check_equal('values of the state', sum(part.dims for part in contract.parts), inputs[STATE].shape[0])
    check_equal('columns of an action', contract.actions.dims, config.output_features['action'].shape[0])
    rows = min(config.chunk_size, config.n_action_steps) if config.type == GROOT else config.chunk_size
    check_equal('chunk_size', contract.actions.chunk_size, rows)
    check_equal('steps of an observation', 1, config.n_obs_steps)


def load_processors(config: Any, folder: Path, options: LerobotOptions) -> tuple[Any, Any]:
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
        words = str(Path(options.vlm).expanduser())
        overrides['tokenizer_processor'] = {'tokenizer_name': words}
        overrides[ENCODER] = {'model_name': words, 'device': options.device}
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
