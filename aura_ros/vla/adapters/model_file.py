# SPDX-License-Identifier: Apache-2.0
"""The YAML file of a model: what a checkpoint does not say of its actions, inputs and features."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from aura_ros.common.errors import ConfigError
from aura_ros.common.yaml_lines import read_yaml
from aura_ros.vla.remote.contract import Contract

_BLOCK = 1 << 20


@dataclass(frozen=True)
class ModelFile:
    """Content of the file of a model."""

    contract: Contract
    """Inputs, actions, and the tap; without the length of the features and the hash."""
    checkpoint: Path
    """Existing folder of the weights."""
    options: Mapping[str, object]
    """Options of the adapter, not checked yet."""


def read_model_file(path: str | None, adapter: str, checkpoint: str | None = None) -> ModelFile:
    """Return the content of a YAML file of `config/vla/`.

    Args:
        path: the file. It has the keys of a contract, `checkpoint`, and a mapping with the name of the adapter.
        adapter: name of the adapter, such as 'lerobot'.
        checkpoint: folder of the weights in place of that in the file.

    Raises:
        ConfigError: the file or the folder is missing or unusable.
    """
    if not path or not path.endswith(('.yaml', '.yml')):
        raise ConfigError(f'path = {path!r}: must be a YAML file of a model for {adapter}, such as those in config/vla')
    file = Path(path).expanduser()
    content = read_yaml(file)
    if not isinstance(content, dict) or not isinstance(content.get(adapter), dict):
        raise ConfigError(f"{file}: must be a mapping with the key '{adapter}'; see config/vla")
    try:
        contract = Contract.from_dict({key: content[key] for key in content if key not in ('checkpoint', adapter)})
    except ConfigError as error:
        raise ConfigError(f'{file}: {error}') from error
    if contract.features is None:
        raise ConfigError(f'{file}: features is missing: must name the tap; add it, see docs/vla.md')
    return ModelFile(contract, _folder(file, checkpoint or content.get('checkpoint')), content[adapter])


def _folder(file: Path, checkpoint: object) -> Path:
    if not isinstance(checkpoint, str) or not checkpoint:
        raise ConfigError(f'{file}: checkpoint = {checkpoint!r}: must be the folder of the weights; add it')
    folder = Path(checkpoint).expanduser()
    if not folder.is_dir():
        raise ConfigError(f'checkpoint = {checkpoint!r}: there is no such folder; download the weights and name it')
    return folder


def needed_file(folder: Path, pattern: str) -> Path:
    """Return the one file of a folder that matches a pattern.

    Raises:
        ConfigError: there is none, or there are several.
    """
    found = sorted(folder.glob(pattern))
    if len(found) != 1:
        names = ', '.join(path.name for path in found) or 'none'
        raise ConfigError(f'{folder}: must have one file {pattern}, and has {names}; is the download complete?')
    return found[0]


def check_equal(what: str, of_file: object, of_checkpoint: object) -> None:
    """Raise ConfigError if the file of the model and its checkpoint differ."""
    if of_file != of_checkpoint:
        raise ConfigError(f'{what} = {of_file!r} in the file: must be that of the checkpoint, {of_checkpoint!r}')


def backbone_hash(files: Iterable[Path], settings: Mapping[str, object]) -> str:
    """Return the SHA-256 of files and of the settings that change features or actions, hex.

    The names of the files count, their folders do not, so a copy has the same hash.
    """
    total = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for path in sorted(files, key=lambda one: one.name):
        content = hashlib.sha256()
        with path.open('rb') as file:
            while block := file.read(_BLOCK):
                content.update(block)
        total.update(f'{path.name}:{content.hexdigest()}'.encode())
    return total.hexdigest()


def completed(contract: Contract, tap: str, dim: int, digest: str) -> Contract:
    """Return a contract with what is known once the model is loaded: the tap's full name and length, and the hash."""
    features = contract.features and replace(contract.features, tap=tap, dim=dim)
    return replace(contract, features=features, backbone_hash=digest, deterministic=True)
