# SPDX-License-Identifier: Apache-2.0
"""What a policy server promises: inputs, actions, features and the key of each input in a message.

A server sends the contract as its metadata, the first message of a connection. A file of `config/vla/` has the same
keys. Everything is checked before anything is used.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Self

from aura_ros.common.action_spec import ActionComponent, ActionSpec
from aura_ros.common.errors import ConfigError
from aura_ros.common.spec_fields import check_count, check_name, list_of, mapping_of, one_of
from aura_ros.common.state_spec import StatePart, StateSpec
from aura_ros.vla.protocol import BackboneSpec

VERSION = 1
"""Value of the key `aura` in the metadata."""
POOLS = ('mean', 'none')
"""How features of several tokens become one vector: their mean, or `none` for a tap that gives one vector."""
FEATURES = 8192
"""Largest length of the feature vector [1], that of VlaStep."""
VALUES = 4096
"""Largest number of values of a chunk [1], that of VlaStep."""
CAMERAS = 8
"""Largest number of cameras [1]."""
_TIMING = ('chunk_size', 'n_action_steps', 'seconds_per_action')
_NEEDED = ('cameras', 'joint_names', 'actions', *_TIMING)
_KNOWN = ('name', *_NEEDED, 'image_size', 'state', 'keys', 'features', 'deterministic', 'backbone_hash')
_NAMES = 64
_HASH_CHARS = 64


@dataclass(frozen=True)
class Features:
    """Where the feature vector of a backbone comes from."""

    tap: str
    """Place in the model, for people: the name of a module and its input or output."""
    pool: str = 'mean'
    """One of POOLS."""
    dim: int = 0
    """Length of the vector [1]; 0 until the model is loaded."""

    def __post_init__(self) -> None:
        if not isinstance(self.tap, str) or not 1 <= len(self.tap) <= 200 or not self.tap.isprintable():
            raise ConfigError(f'features.tap = {self.tap!r:.80}: must be 1..200 printable characters; name the module')
        one_of('features.pool', self.pool, POOLS, 'name how tokens become one vector')
        check_count('features.dim', self.dim, 0, FEATURES)


@dataclass(frozen=True)
class Contract:
    """Inputs and outputs of a served backbone; checked on construction.

    Raises:
        ConfigError: a value is unusable. The text gives field, value, allowed values and fix.
    """

    cameras: tuple[str, ...]
    """Names of the images that it needs."""
    joint_names: tuple[str, ...]
    """Measured values that it needs, in order: joints, or the axes of a measured pose."""
    actions: ActionSpec
    """Meaning of the columns of an action, and the timing of a chunk."""
    name: str = 'remote'
    """Name to show."""
    image_size: tuple[int, int] = (224, 224)
    """Height and width to which the server scales the images [px]."""
    state: StateSpec | None = None
    """Named parts of the measured values; None: joint positions alone, as the part `joints`."""
    keys: Mapping[str, str] = field(default_factory=dict)
    """Key of an input in a message, where it differs from `observation/NAME`, or `prompt` for the instruction. The name
    `state` joins all parts of the state in one array. The name `joint_positions` adds the measured values."""
    features: Features | None = None
    """None: the server sends no features, so only the policy base can use it."""
    deterministic: bool = False
    """Whether the same observation always yields the same output."""
    backbone_hash: str = ''
    """SHA-256 that identifies the weights, hex."""

    def __post_init__(self) -> None:
        check_name('name', self.name)
        _check_labels('cameras', self.cameras, 0, CAMERAS)
        _check_labels('joint_names', self.joint_names, 1, _NAMES)
        if len(self.image_size) != 2:
            raise ConfigError(f'image_size = {self.image_size!r}: must be height and width; correct it')
        for size in self.image_size:
            check_count('image_size', size, 1, 8192)
        check_count('values of a chunk', self.actions.chunk_size * self.actions.dims, 1, VALUES)
        if not isinstance(self.deterministic, bool):
            raise ConfigError(f'deterministic = {self.deterministic!r}: must be true or false; correct it')
        digits = self.backbone_hash
        if not isinstance(digits, str) or (digits and len(digits) != _HASH_CHARS) or digits.strip('0123456789abcdef'):
            raise ConfigError(f'backbone_hash = {digits!r:.80}: must be {_HASH_CHARS} hexadecimal digits; correct it')
        self._check_keys()
        self.spec  # noqa: B018  # checks that names, state and actions fit each other

    def _check_keys(self) -> None:
        inputs = [*self.cameras, *(part.name for part in self.parts)]
        if len(set(inputs)) != len(inputs) or {'state', 'prompt', 'joint_positions'} & set(inputs):
            raise ConfigError(
                f'inputs = {", ".join(inputs)}: cameras and parts of the state must have different names, and none of '
                'them state, prompt or joint_positions; rename one'
            )
        allowed = (*inputs, 'state', 'prompt', 'joint_positions')
        for name, key in self.keys.items():
            one_of('name in keys', name, allowed, 'name a camera or a part of the state')
            if not isinstance(key, str) or not 1 <= len(key) <= 200 or not key.isprintable():
                raise ConfigError(f'keys.{name} = {key!r:.80}: must be 1..200 printable characters; correct it')
        used = [self.key(name) for name in (*self._sent(), 'prompt')]
        if len(set(used)) != len(used):
            raise ConfigError(f'keys = {", ".join(used)}: must be different; rename one')

    def _sent(self) -> list[str]:
        parts = ['state'] if 'state' in self.keys else [part.name for part in self.parts]
        return [*self.cameras, *parts, *(['joint_positions'] if 'joint_positions' in self.keys else [])]

    @property
    def parts(self) -> tuple[StatePart, ...]:
        """Parts of the state."""
        return (self.state or StateSpec.joints(len(self.joint_names))).parts

    def key(self, name: str) -> str:
        """Return the key of an input in a message."""
        return self.keys.get(name, 'prompt' if name == 'prompt' else f'observation/{name}')

    @property
    def spec(self) -> BackboneSpec:
        """The spec of the backbone behind the server; its feature_dim is 0 without features."""
        return BackboneSpec(
            name=self.name,
            cameras=self.cameras,
            image_size=self.image_size,
            joint_names=self.joint_names,
            feature_dim=self.features.dim if self.features else 0,
            chunk_size=self.actions.chunk_size,
            action_dim=self.actions.dims,
            n_action_steps=self.actions.n_action_steps,
            seconds_per_action=self.actions.seconds_per_action,
            backbone_hash=self.backbone_hash,
            components=self.actions.components,
            state=self.state,
        )

    @classmethod
    def of(cls, spec: BackboneSpec, features: Features | None, deterministic: bool = True) -> Self:
        """Return the contract of a backbone of this package."""
        return cls(
            cameras=spec.cameras,
            joint_names=spec.joint_names,
            actions=spec.action_spec,
            name=spec.name,
            image_size=spec.image_size,
            state=spec.state,
            keys={'joint_positions': 'observation/joint_positions'} if spec.state else {},
            features=features and replace(features, dim=spec.feature_dim),
            deterministic=deterministic,
            backbone_hash=spec.backbone_hash,
        )

    @classmethod
    def from_dict(cls, value: object) -> Self:
        """Return the contract of a JSON object.

        Raises:
            ConfigError: a key is unknown or missing, or a value is unusable.
        """
        found = dict(mapping_of('contract', value, _KNOWN, _NEEDED))
        timing = {name: found.pop(name) for name in _TIMING}
        components = tuple(map(ActionComponent.from_dict, list_of('actions', found['actions'])))
        found['actions'] = ActionSpec(components, **timing)  # type: ignore[arg-type]  # it checks
        for name in ('cameras', 'joint_names', 'image_size'):
            if name in found:
                found[name] = tuple(list_of(name, found[name]))
        if found.get('state') is not None:
            found['state'] = StateSpec(tuple(map(StatePart.from_dict, list_of('state', found['state']))))
        if found.get('features') is not None:
            known = [one.name for one in fields(Features)]
            found['features'] = Features(**mapping_of('features', found['features'], known, ('tap',)))  # type: ignore[arg-type]
        if 'keys' in found and not isinstance(found['keys'], Mapping):
            raise ConfigError(f'keys = {found["keys"]!r:.80}: must map names of inputs to keys; correct it')
        return cls(**found)  # type: ignore[arg-type]  # __post_init__ checks

    @classmethod
    def from_metadata(cls, metadata: Mapping[Any, Any]) -> Self | None:
        """Return the contract in the metadata of a server; None if the server sends none.

        Raises:
            ConfigError: the contract is unusable, or of another version.
        """
        if 'aura' not in metadata:
            return None
        if metadata['aura'] != VERSION:
            raise ConfigError(f'aura = {metadata["aura"]!r:.40}: must be {VERSION}; use the same version on both sides')
        return cls.from_dict({key: value for key, value in metadata.items() if key in _KNOWN})

    def to_metadata(self) -> dict[str, Any]:
        """Return the metadata for a policy server, a JSON object."""
        found: dict[str, Any] = {
            'aura': VERSION,
            'name': self.name,
            'cameras': list(self.cameras),
            'image_size': list(self.image_size),
            'joint_names': list(self.joint_names),
            'actions': [component.to_dict() for component in self.actions.components],
            **{name: getattr(self.actions, name) for name in _TIMING},
            'keys': dict(self.keys),
            'deterministic': self.deterministic,
            'backbone_hash': self.backbone_hash,
        }
        if self.state is not None:
            found['state'] = [part.to_dict() for part in self.state.parts]
        if self.features is not None:
            found['features'] = {one.name: getattr(self.features, one.name) for one in fields(Features)}
        return found

    @property
    def sha256(self) -> str:
        """SHA-256 of the contract, hex. It identifies a server that sends no hash of its weights."""
        return hashlib.sha256(json.dumps(self.to_metadata(), sort_keys=True).encode()).hexdigest()


def _check_labels(where: str, names: Sequence[object], low: int, high: int) -> None:
    check_count(f'number of {where}', len(names), low, high)
    for name in names:
        check_name(where, name)
    if len(set(names)) != len(names):
        raise ConfigError(f'{where} = {list(names)}: must be different names; rename one')
