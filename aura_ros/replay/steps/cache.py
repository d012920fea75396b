# SPDX-License-Identifier: Apache-2.0
"""Steps on disk: the backbone runs once on a recording, whatever is asked of it afterwards.

    FOLDER/KEY/00000000-0256.npz   the steps from number 0 on, 256 of them (`Steps.save`); and so on
    FOLDER/KEY/state.json          whether that is all, and what is known of the recording

KEY is a digest of all that the steps depend on, the content of the recording above all: a bag that was moved is found
again, one that was changed is not. Parts are written whole, so a run that is stopped goes on after the last of them.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from aura_ros.common.errors import ConfigError
from aura_ros.replay.evaluated import About
from aura_ros.replay.steps.arrays import FORMAT, Steps, StepsInfo

PART_STEPS = 256
"""Steps of a part: what a run that is stopped may lose, and what is held in memory at a time."""
_BLOCK = 1 << 20


def default_folder() -> Path:
    """Where steps are kept unless the user says otherwise."""
    return Path(os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache') / 'aura_ros' / 'replay'


def content_digest(files: Iterable[Path], advance: Callable[[int], None] = lambda _: None) -> str:
    """SHA-256 over names and contents of files, hex.

    Args:
        files: in any order; only the last part of a path counts, so that a folder may be moved.
        advance: called with the number of bytes that were just read.

    """
    digest = hashlib.sha256()
    for path in sorted(files):
        digest.update(f'{path.name}\0{path.stat().st_size}\0'.encode())
        with path.open('rb') as file:
            while block := file.read(_BLOCK):
                digest.update(block)
                advance(len(block))
    return digest.hexdigest()


def key_of(**parts: Any) -> str:
    """The key of steps that depend on `parts`, which JSON can say."""
    return hashlib.sha256(json.dumps({'format': FORMAT, **parts}, sort_keys=True).encode()).hexdigest()


class StepCache:
    """The steps of one recording, read one way; a `StepSource`, and a context manager that holds the lock.

    complete: whether all steps of the recording are there.
    about: what was known of the recording when the last part was written.
    """

    def __init__(self, folder: Path, key: str, fresh: bool = False) -> None:
        """Open, and make if need be.

        Args:
            folder: of all cached steps.
            key: of these, see `key_of`.
            fresh: forget what is there.

        Raises:
            ConfigError: the folder cannot be used, or another process is at these steps.

        """
        self._folder = folder / key
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._lock: IO[bytes] = (self._folder / 'lock').open('wb')
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.close()
            raise ConfigError(
                'another aura replay is reading this recording: wait for it, or name another folder with --cache'
            ) from None
        except OSError as error:
            raise ConfigError(
                f'cache {str(folder)!r} cannot be used ({error.strerror}): name a folder of yours with --cache'
            ) from error
        if fresh:
            self.clear()
        self._files = self._whole_parts()
        state = self._state()
        self.complete = bool(state.get('complete', False))
        self.about = About(**state['about']) if 'about' in state else About('')

    def __enter__(self) -> Self:
        """Give the cache itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Release the lock."""
        self._lock.close()

    def __len__(self) -> int:
        """Steps there are."""
        return sum(count for _, count in self._files)

    @property
    def info(self) -> StepsInfo:
        """What holds for all steps."""
        return Steps.load(self._files[0][0], thumbnails=False).info

    def parts(self, thumbnails: bool = False) -> Iterator[Steps]:
        """Give the steps in order; see `StepSource`."""
        for path, _ in self._files:
            yield Steps.load(path, thumbnails)

    def append(self, steps: Steps) -> None:
        """Keep the next steps, on disk when this returns.

        Raises:
            ConfigError: there is no room.

        """
        path = self._folder / f'{len(self):08d}-{len(steps):04d}.npz'
        try:
            steps.save(path)
        except OSError as error:
            raise ConfigError(
                f'{path} cannot be written ({error.strerror}): make room, or name another folder with --cache'
            ) from error
        self._files.append((path, len(steps)))

    def note(self, about: About, complete: bool) -> None:
        """Keep what is known of the recording, and whether its steps are all there."""
        self.complete, self.about = complete, about
        temporary = self._folder / 'state.json.new'
        temporary.write_text(json.dumps({'complete': complete, 'about': asdict(about)}), encoding='utf-8')
        temporary.replace(self._folder / 'state.json')

    def clear(self) -> None:
        """Forget all steps."""
        for path in self._folder.iterdir():
            if path.name != 'lock':
                path.unlink()
        self._files, self.complete = [], False

    def _whole_parts(self) -> list[tuple[Path, int]]:
        """Parts that follow on each other from the first step."""
        found: list[tuple[Path, int]] = []
        for path in sorted(self._folder.glob('????????-????.npz')):
            first, count = (int(word) for word in path.stem.split('-'))
            if first != sum(size for _, size in found):
                break
            found.append((path, count))
        return found

    def _state(self) -> Mapping[str, Any]:
        try:
            state: dict[str, Any] = json.loads((self._folder / 'state.json').read_text(encoding='utf-8'))
        except (FileNotFoundError, json.JSONDecodeError):
            return {}
        if 'about' in state:
            state['about']['notes'] = tuple(state['about']['notes'])
        return state


class FirstSteps:
    """The first steps of another source: what --limit leaves."""

    def __init__(self, source: StepCache, limit: int) -> None:
        self._source, self._limit = source, limit

    def __len__(self) -> int:
        """Number of steps."""
        return min(len(self._source), self._limit)

    @property
    def info(self) -> StepsInfo:
        """What holds for all of them."""
        return self._source.info

    def parts(self, thumbnails: bool = False) -> Iterator[Steps]:
        """Give the steps in order; see `StepSource`."""
        left = len(self)
        for part in self._source.parts(thumbnails):
            if left <= 0:
                return
            yield part.head(left)
            left -= len(part)
