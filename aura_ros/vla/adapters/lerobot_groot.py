# SPDX-License-Identifier: Apache-2.0
"""What GR00T N1.7 of LeRobot needs beside its checkpoint: a base model, and files from which no code may run."""

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aura_ros.common.errors import ConfigError
from aura_ros.common.text_files import read_object
from aura_ros.vla.adapters.model_file import needed_file

GROOT = 'groot'
"""Type of the policy."""
ENCODER = 'groot_n1_7_vlm_encode_v1'
"""Step of its pre-processor with the image processor and the tokenizer."""
# The vision-language model of the released base model, whose configuration LeRobot has.
_VLM = 'nvidia/Cosmos-Reason2-2B'
_PACKAGES = {'diffusers': 'diffusers', 'tree': 'dm-tree'}
# Keys of the base model's configuration that depend on where its files are.
_PLACES = ('_name_or_path', 'model_name', 'transformers_version')


def check_folders(base: str, vlm: str) -> None:
    """Check what LeRobot loads for GR00T.

    Args:
        base: folder of the base model, such as GR00T-N1.7-3B.
        vlm: folder with tokenizer and image processor of its vision-language model.

    Raises:
        ConfigError: a package or a folder is missing, or LeRobot would run code from a folder.
    """
    for module, package in _PACKAGES.items():
        if importlib.util.find_spec(module) is None:
            raise ConfigError(f'GR00T needs {package}: ./run vla_env lerobot installs it')
    for name, value, what in (('base', base, 'the base model'), ('vlm', vlm, 'tokenizer and image processor')):
        if not value:
            raise ConfigError(f"lerobot.{name} = '': must be the folder with {what} for GR00T; download it")
        _refuse_code(Path(value).expanduser(), f'lerobot.{name}')
    config = needed_file(Path(base).expanduser(), 'config.json')
    model = str(read_object(config).get('model_name'))
    if model == _VLM:
        return
    if not Path(model).is_dir():
        raise ConfigError(f'{config}: model_name = {model!r}: must be {_VLM} or an existing folder; use GR00T N1.7')
    _refuse_code(Path(model), f'model_name in {config}')


def _refuse_code(folder: Path, where: str) -> None:
    if found := sorted(folder.rglob('*.py')):
        raise ConfigError(
            f'{where} = {str(folder)!r}: must have no Python files, because LeRobot would run them, and has '
            f'{found[0].name}; remove them'
        )


def base_settings(policy: Any) -> dict[str, Any]:
    """Return the settings of the base model that change features or actions, for the hash."""
    return {key: value for key, value in policy._groot_model.config.to_dict().items() if key not in _PLACES}


@contextmanager
def fixed_noise(seed: int, device: str) -> Iterator[None]:
    """Draw the same noise at each inference; the generators of the process are as before afterwards.

    The class draws its noise itself, so it cannot be given.
    """
    import torch

    with torch.random.fork_rng(devices=[torch.cuda.current_device()] if device == 'cuda' else []):
        torch.manual_seed(seed)
        yield
