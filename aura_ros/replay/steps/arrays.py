# SPDX-License-Identifier: Apache-2.0
"""The steps of a recording as arrays. Every memory runs on the same arrays."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from aura_ros.common.action_spec import ActionComponent
from aura_ros.common.errors import ConfigError, InputError
from aura_ros.common.files import open_arrays, replace_arrays
from aura_ros.vla.protocol import BackboneSpec

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]

FORMAT = 6
_COLUMNS = ('stamps_ns', 'episode_ids', 'seqs', 'features', 'base_actions', 'recorded_actions')


@dataclass(frozen=True)
class StepsInfo:
    """What all steps of a recording have in common."""

    joint_names: tuple[str, ...]
    """Names of the columns of an action."""
    seconds_per_action: float
    """Time between two actions of a chunk [s]."""
    n_action_steps: int
    """Number of actions of a chunk that are executed before the next chunk replaces it [1]."""
    backbone_hash: str = ''
    """SHA-256 of the backbone's weights, hex; '' for a backbone without weights."""
    components: tuple[ActionComponent, ...] = ()
    """What the columns of an action mean; empty: absolute joint targets [rad, m]."""

    @classmethod
    def of(cls, spec: BackboneSpec, names: tuple[str, ...]) -> Self:
        """Return what the steps of a backbone have in common; `names` are those of the columns."""
        return cls(names, spec.seconds_per_action, spec.n_action_steps, spec.backbone_hash, spec.components)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Return what `to_dict` has made; `ConfigError` if it cannot be used."""
        found = {name: value for name, value in values.items() if name != 'components'}
        found['joint_names'] = tuple(found['joint_names'])
        return cls(**found, components=tuple(map(ActionComponent.from_dict, values['components'])))

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON object."""
        return {**asdict(self), 'components': [component.to_dict() for component in self.components]}


@dataclass(frozen=True, eq=False)
class Row:
    """One step, with features of size D and chunks of C actions for A joints."""

    stamp_ns: int
    """Stamp of the observation [ns, the recording's ROS clock]."""
    episode_id: str
    """Episode of the step, at most 36 characters."""
    seq: int
    """Number of the step in its episode [1]."""
    features: Floats
    """Features of the backbone, float32 [D]."""
    base_action: Floats
    """Chunk that the backbone proposes, float32 [C, A] [rad, m]."""
    recorded_action: Floats | None = None
    """Recorded joint targets at the times of the chunk, float32 [C, A] [rad, m]; None if one of them is missing."""
    thumbnail: bytes = b''
    """JPEG of the first camera's picture; b'' without a picture."""


@dataclass(frozen=True, eq=False)
class Steps:
    """N consecutive steps of one recording, with features of size D and chunks of C actions for A joints."""

    info: StepsInfo
    """What all steps have in common."""
    stamps_ns: Integers
    """Stamps of the observations, int64 [N] [ns, the recording's ROS clock]."""
    episode_ids: NDArray[np.str_]
    """Episode of each step, str [N], at most 36 characters."""
    seqs: Integers
    """Number of each step in its episode, int64 [N]."""
    features: Floats
    """Features of the backbone, float32 [N, D]."""
    base_actions: Floats
    """Chunks that the backbone proposes, float32 [N, C, A] [rad, m]."""
    recorded_actions: Floats
    """Recorded joint targets at the same times, float32 [N, C, A] [rad, m]. A step without them has only NaN."""
    thumbnails: tuple[bytes, ...] = ()
    """JPEG of each step's first camera, or () if no step has one."""

    def __post_init__(self) -> None:
        """Check that the arrays fit together.

        Raises:
            InputError: an array does not fit; the text names it.
        """
        count, chunk = len(self.stamps_ns), self.base_actions.shape[1:]
        if len(chunk) != 2 or chunk[1] != len(self.info.joint_names):
            joints = len(self.info.joint_names)
            raise InputError(f'base_actions is {self.base_actions.shape}: must be [N, chunk_size, {joints} joints]')
        if not 1 <= self.info.n_action_steps <= chunk[0]:
            raise InputError(f'n_action_steps = {self.info.n_action_steps}: must be 1..{chunk[0]}, the chunk_size')
        for name in _COLUMNS:
            array = getattr(self, name)
            if len(array) != count:
                raise InputError(f'{name} has {len(array)} steps, stamps_ns {count}: must be equal')
        if self.recorded_actions.shape != self.base_actions.shape:
            raise InputError(
                f'recorded_actions is {self.recorded_actions.shape}: must be {self.base_actions.shape}, as base_actions'
            )
        if self.thumbnails and len(self.thumbnails) != count:
            raise InputError(f'{len(self.thumbnails)} thumbnails for {count} steps: must be {count} or 0')

    @classmethod
    def of(cls, info: StepsInfo, rows: Sequence[Row]) -> Self:
        """Return consecutive steps as arrays.

        Raises:
            InputError: there are no steps, or their shapes differ.
        """
        if not rows:
            raise InputError('there are no steps')
        missing = np.full(rows[0].base_action.shape, np.nan, np.float32)
        recorded = [missing if row.recorded_action is None else row.recorded_action for row in rows]
        pictures = tuple(row.thumbnail for row in rows)
        try:
            return cls(
                info,
                np.asarray([row.stamp_ns for row in rows], np.int64),
                np.asarray([row.episode_id for row in rows], np.str_),
                np.asarray([row.seq for row in rows], np.int64),
                np.asarray([row.features for row in rows], np.float32),
                np.asarray([row.base_action for row in rows], np.float32),
                np.asarray(recorded, np.float32),
                pictures if any(pictures) else (),
            )
        except ValueError as error:
            raise InputError(f'the steps differ in shape: {error}') from error

    def __len__(self) -> int:
        return len(self.stamps_ns)

    @property
    def has_recorded_actions(self) -> NDArray[np.bool_]:
        """Which steps have recorded actions, bool [N]."""
        return np.asarray(~np.isnan(self.recorded_actions[:, 0, 0]))

    def head(self, count: int) -> Self:
        """Return the first `count` steps, or all if there are fewer."""
        columns = {name: getattr(self, name)[:count] for name in _COLUMNS}
        return replace(self, **columns, thumbnails=self.thumbnails[:count])

    def parts(self, thumbnails: bool = False) -> Iterator[Self]:
        """Yield these steps as the only part; see `StepSource`."""
        del thumbnails
        yield self

    def save(self, path: Path) -> None:
        """Write an .npz file of plain arrays. A reader sees the whole file or none."""
        ends = np.cumsum([len(picture) for picture in self.thumbnails], dtype=np.int64)
        arrays: dict[str, Any] = {name: getattr(self, name) for name in _COLUMNS}
        info = self.info.to_dict() | {'format': FORMAT}
        arrays |= {
            'info': np.asarray(json.dumps(info)),
            'thumbnail_ends': ends,
            'thumbnails': np.frombuffer(b''.join(self.thumbnails), np.uint8),
        }
        replace_arrays(path, arrays)

    @classmethod
    def load(cls, path: Path, thumbnails: bool = True) -> Self:
        """Read a file that `save` wrote, with or without its thumbnails.

        Raises:
            ConfigError: the file holds no steps, or another version wrote it.
        """
        try:
            with open_arrays(path) as file:
                info = json.loads(str(file['info']))
                if info.pop('format') != FORMAT:
                    raise ConfigError('another version wrote it')
                pictures = _split(file) if thumbnails else ()
                return cls(StepsInfo.from_dict(info), **{name: file[name] for name in _COLUMNS}, thumbnails=pictures)
        except ConfigError as error:
            raise ConfigError(f'{path} holds no steps ({error}); remove it') from error


def _split(file: Any) -> tuple[bytes, ...]:
    data, ends = file['thumbnails'].tobytes(), file['thumbnail_ends'].tolist()
    return tuple(data[begin:end] for begin, end in zip([0, *ends], ends, strict=False))


class StepSource(Protocol):
    """Steps in parts that each fit in memory. They can be read any number of times."""

    def __len__(self) -> int:
        """Return the number of steps."""

    @property
    def info(self) -> StepsInfo:
        """What all steps have in common."""

    def parts(self, thumbnails: bool = False) -> Iterator[Steps]:
        """Yield the steps in order, in parts; with thumbnails on request."""
