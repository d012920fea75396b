# SPDX-License-Identifier: Apache-2.0
"""The steps of a recording as arrays: what every memory is run on, so that all of them see the same.

Arrays, for N steps of a backbone with D features and chunks of C actions for A joints
    stamps_ns    int64 [N]          stamp of the observation [ns, the recording's ROS clock]
    episode_ids  str [N]            at most 36 characters
    seqs         int64 [N]          number of the step in its episode
    skews_ns     int64 [N]          largest distance between the stamps of the parts of the observation [ns]
    features     float32 [N, D]     z of the frozen VLA
    base         float32 [N, C, A]  the VLA's own joint targets [rad, m]
    actions      float32 [N, C, A]  recorded joint targets at the same times [rad, m]; NaN in all of a step for which
                                    nothing was recorded, so that they cannot be taken for zeros
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Protocol
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from aura_ros.common.errors import ConfigError, InputError

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]

FORMAT = 2
_COLUMNS = ('stamps_ns', 'episode_ids', 'seqs', 'skews_ns', 'features', 'base', 'actions')


@dataclass(frozen=True)
class StepsInfo:
    """What holds for all steps of a recording.

    joint_names: order of the columns of an action.
    seconds_per_action: time between two actions of a chunk [s].
    n_action_steps: actions of a chunk that are in force before the next chunk replaces it.
    backbone_hash: SHA-256 of the backbone's weights, hex; empty where it has none.
    """

    joint_names: tuple[str, ...]
    seconds_per_action: float
    n_action_steps: int
    backbone_hash: str = ''


@dataclass(frozen=True, eq=False)
class Steps:
    """Consecutive steps of one recording; the module's docstring gives the arrays.

    info: what holds for all of them.
    thumbnails: a JPEG of each step's first camera, or none at all.
    """

    info: StepsInfo
    stamps_ns: Integers
    episode_ids: NDArray[np.str_]
    seqs: Integers
    skews_ns: Integers
    features: Floats
    base: Floats
    actions: Floats
    thumbnails: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        """Check that the arrays belong together.

        Raises:
            InputError: naming the array that does not.

        """
        count, chunk = len(self.stamps_ns), self.base.shape[1:]
        if len(chunk) != 2 or chunk[1] != len(self.info.joint_names):
            raise InputError(f'base is {self.base.shape}: must be [N, chunk_size, {len(self.info.joint_names)} joints]')
        if not 1 <= self.info.n_action_steps <= chunk[0]:
            raise InputError(
                f'n_action_steps = {self.info.n_action_steps}: must be 1..{chunk[0]}, the length of a chunk'
            )
        for name in _COLUMNS:
            array = getattr(self, name)
            if len(array) != count:
                raise InputError(f'{name} has {len(array)} steps, stamps_ns {count}: must be as many')
        if self.actions.shape != self.base.shape:
            raise InputError(f'actions is {self.actions.shape}: must be {self.base.shape}, as base')
        if self.thumbnails and len(self.thumbnails) != count:
            raise InputError(f'{len(self.thumbnails)} thumbnails for {count} steps: must be as many or none')

    def __len__(self) -> int:
        """Number of steps."""
        return len(self.stamps_ns)

    @property
    def recorded(self) -> NDArray[np.bool_]:
        """Which steps have recorded actions, bool [N]."""
        return np.asarray(~np.isnan(self.actions[:, 0, 0]))

    def head(self, count: int) -> Steps:
        """The first `count` steps, all where there are fewer."""
        columns = {name: getattr(self, name)[:count] for name in _COLUMNS}
        return Steps(self.info, **columns, thumbnails=self.thumbnails[:count])

    def parts(self, thumbnails: bool = False) -> Iterator[Steps]:
        """Give itself: steps in memory are a source of steps; see `StepSource`."""
        del thumbnails
        yield self

    def save(self, path: Path) -> None:
        """Write an .npz of plain arrays, in one go: a reader sees all of it or none."""
        ends = np.cumsum([len(picture) for picture in self.thumbnails], dtype=np.int64)
        arrays: dict[str, Any] = {name: getattr(self, name) for name in _COLUMNS}
        info = {part.name: getattr(self.info, part.name) for part in fields(StepsInfo)} | {'format': FORMAT}
        arrays |= {
            'info': np.asarray(json.dumps(info)),
            'thumbnail_ends': ends,
            'thumbnails': np.frombuffer(b''.join(self.thumbnails), np.uint8),
        }
        temporary = path.with_suffix('.part')
        with temporary.open('wb') as file:
            np.savez(file, **arrays)
        temporary.replace(path)

    @classmethod
    def load(cls, path: Path, thumbnails: bool = True) -> Steps:
        """Read what `save` wrote; without `thumbnails` the pictures stay on disk.

        Raises:
            ConfigError: it is no such file, or of another version.

        """
        try:
            with np.load(path, allow_pickle=False) as file:
                info = json.loads(str(file['info']))
                if info.pop('format') != FORMAT:
                    raise ConfigError(f'{path} was written by another version; remove it')
                info['joint_names'] = tuple(info['joint_names'])
                pictures = _split(file) if thumbnails else ()
                return cls(StepsInfo(**info), **{name: file[name] for name in _COLUMNS}, thumbnails=pictures)
        except ConfigError:
            raise
        except (OSError, EOFError, ValueError, KeyError, BadZipFile) as error:
            raise ConfigError(f'{path} holds no steps ({error}); remove it') from error


def _split(file: Any) -> tuple[bytes, ...]:
    data, ends = file['thumbnails'].tobytes(), file['thumbnail_ends'].tolist()
    return tuple(data[begin:end] for begin, end in zip([0, *ends], ends, strict=False))


class StepSource(Protocol):
    """Steps that may be more than one wants in memory: a file after the other, any number of times."""

    def __len__(self) -> int:
        """Number of steps."""
        ...

    @property
    def info(self) -> StepsInfo:
        """What holds for all of them."""
        ...

    def parts(self, thumbnails: bool = False) -> Iterator[Steps]:
        """Give the steps in order, in parts; pictures only where asked for."""
        ...


@dataclass
class StepsBuilder:
    """Collects steps one by one.

    info: what holds for all of them.
    """

    info: StepsInfo
    _rows: list[tuple[int, str, int, int, Floats, Floats, Floats | None, bytes]] = field(default_factory=list)

    def __len__(self) -> int:
        """Steps collected since the last `take`."""
        return len(self._rows)

    def add(
        self,
        stamp_ns: int,
        episode_id: str,
        seq: int,
        features: Floats,
        base: Floats,
        *,
        action: Floats | None = None,
        skew_ns: int = 0,
        thumbnail: bytes = b'',
    ) -> None:
        """Add the next step; `action` None where nothing was recorded."""
        self._rows.append((stamp_ns, episode_id, seq, skew_ns, features, base, action, thumbnail))

    def take(self) -> Steps:
        """The steps so far; the builder is empty afterwards.

        Raises:
            InputError: there are none, or their shapes differ.

        """
        if not self._rows:
            raise InputError('there is no step to take')
        stamps, episodes, seqs, skews, features, base, actions, pictures = zip(*self._rows, strict=True)
        nothing = np.full(base[0].shape, np.nan, np.float32)
        try:
            steps = Steps(
                self.info,
                np.asarray(stamps, np.int64),
                np.asarray(episodes, np.str_),
                np.asarray(seqs, np.int64),
                np.asarray(skews, np.int64),
                np.asarray(features, np.float32),
                np.asarray(base, np.float32),
                np.asarray([nothing if action is None else action for action in actions], np.float32),
                pictures if any(pictures) else (),
            )
        except ValueError as error:
            raise InputError(f'the steps are not all of one shape: {error}') from error
        self._rows.clear()
        return steps


def joined(parts: Sequence[Steps]) -> Steps:
    """Several parts as one, in memory.

    Raises:
        InputError: there are none, or they do not belong together.

    """
    if not parts or any(part.info != parts[0].info for part in parts):
        raise InputError('only steps of one recording can be joined, and at least one part is needed')
    columns = {name: np.concatenate([getattr(part, name) for part in parts]) for name in _COLUMNS}
    return Steps(parts[0].info, **columns, thumbnails=tuple(picture for part in parts for picture in part.thumbnails))
