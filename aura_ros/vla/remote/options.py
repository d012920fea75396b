# SPDX-License-Identifier: Apache-2.0
"""Settings of the remote backbone: the address of its server, and a file for what the server does not say."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Self

from aura_ros.common.errors import ConfigError
from aura_ros.common.spec_fields import is_number, mapping_of
from aura_ros.common.yaml_lines import read_yaml
from aura_ros.vla.remote.contract import Contract

SCHEMES = ('ws://', 'wss://')
"""Beginnings of an address; wss is encrypted."""
_EXAMPLE = 'ws://127.0.0.1:8000'


@dataclass(frozen=True)
class RemoteOptions:
    """Address and time limits; checked on construction.

    Raises:
        ConfigError: a value is unusable.
    """

    url: str
    """ws://HOST:PORT or wss://HOST:PORT."""
    connect_wait_s: float = 60.0
    """How long the start waits for the server [s]; it may still load its model."""
    connect_timeout_s: float = 2.0
    """Longest wait of one attempt to connect [s]."""
    first_timeout_s: float = 120.0
    """Longest wait for the first answer on a connection [s]; a server may compile its model then."""
    timeout_s: float = 5.0
    """Longest wait for each further answer [s]."""

    def __post_init__(self) -> None:
        if not isinstance(self.url, str) or not self.url.startswith(SCHEMES) or not self.url.isprintable():
            raise ConfigError(f'url = {self.url!r}: must begin with {" or ".join(SCHEMES)}, for example {_EXAMPLE}')
        for one in fields(self)[1:]:
            value = getattr(self, one.name)
            if not is_number(value) or not 0.01 <= value <= 3600.0:
                raise ConfigError(f'{one.name} = {value!r}: must be 0.01..3600 s; correct it')

    @classmethod
    def from_dict(cls, value: object) -> Self:
        """Return the options of a mapping.

        Raises:
            ConfigError: a key is unknown or missing, or a value is unusable.
        """
        known = [one.name for one in fields(cls)]
        return cls(**mapping_of('remote', value, known, ('url',)))  # type: ignore[arg-type]  # __post_init__ checks


def read_options(text: str) -> tuple[RemoteOptions, Contract | None]:
    """Return the options, and the contract for a server that sends none.

    Args:
        text: an address, or the path of a YAML file with `remote`, a mapping of RemoteOptions, and the keys of a
            contract, all of them or none.

    Raises:
        ConfigError: the text is neither, or the file is unusable.
    """
    if text.startswith(SCHEMES):
        return RemoteOptions(text), None
    if not text.endswith(('.yaml', '.yml')):
        raise ConfigError(
            f'backbone_path = {text!r}: must be the address of a policy server, for example {_EXAMPLE}, or a YAML file'
        )
    path = Path(text).expanduser()
    content = read_yaml(path)
    try:
        if not isinstance(content, dict) or 'remote' not in content:
            raise ConfigError("must be a mapping with the key 'remote'; see config/vla/droid_openpi.yaml")
        options = RemoteOptions.from_dict(content['remote'])
        rest = {key: value for key, value in content.items() if key != 'remote'}
        return options, Contract.from_dict(rest) if rest else None
    except ConfigError as error:
        raise ConfigError(f'{path}: {error}') from error
