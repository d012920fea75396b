# SPDX-License-Identifier: Apache-2.0
"""Steps on disk, so that the backbone runs only once on a recording.

    FOLDER/KEY/00000000-0256.npz   256 steps from step 0 on (`Steps.save`), and so on
    FOLDER/KEY/state.json          whether all steps are there, and what is known of the recording

KEY is a digest of everything that the steps depend on, including the content of the recording. A moved recording
therefore has the same key, and a changed one has another. Parts are written whole, so a stopped run continues after
the last part.
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any, Self

from aura_ros.common.errors import BagError, ConfigError
from aura_ros.common.files import replace_text
from aura_ros.replay.steps.arrays import FORMAT, Row, Steps, StepsInfo
from aura_ros.replay.steps.stream import StepStream, StreamFacts

PART_STEPS = 256
"""Steps of a part: the most that a stopped run loses, and the most in memory at a time."""
BLOCK_BYTES = 1 << 20
"""Size of a block of a file that is read for its digest [B]."""


def default_folder() -> Path:
    """Return the default folder of cached steps."""
    return Path(os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache') / 'aura_ros' / 'replay'


def content_digest(files: Iterable[Path], advance: Callable[[int], None] = lambda _: None) -> str:
    """Return the SHA-256 of names and contents of files, hex.

    Args:
        files: in any order. Only the last part of a path counts, so that a folder can be moved.
        advance: called with the number of bytes of each block that was read.
    """
    digest = hashlib.sha256()
    for path in sorted(files):
        digest.update(f'{path.name}\0{path.stat().st_size}\0'.encode())
        with path.open('rb') as file:
            while block := file.read(BLOCK_BYTES):
                digest.update(block)
                advance(len(block))
    return digest.hexdigest()


def key_of(**parts: Any) -> str:
    """Return the key of steps that depend on `parts`, which are JSON values."""
    return hashlib.sha256(json.dumps({'format': FORMAT, **parts}, sort_keys=True).encode()).hexdigest()


class StepCache:
    """The cached steps of one recording, read one way; a `StepSource`, and a context manager that holds the lock.

    Attributes:
        complete: whether all steps of the recording are there.
        facts: what was known of the recording when the last part was written.
    """

    def __init__(self, folder: Path, key: str, fresh: bool = False) -> None:
        """Open the cache, and create its folder if it is missing.

        Args:
            folder: folder of all cached steps.
            key: key of these steps, see `key_of`.
            fresh: remove the steps that are there.

        Raises:
            ConfigError: the folder cannot be used, or another process has locked these steps.
        """
        self._folder = folder / key
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._lock: IO[bytes] = (self._folder / 'lock').open('wb')
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.close()
            raise ConfigError(
                'the steps of this recording are locked by another aura replay: wait for it, or name another folder '
                'with --cache'
            ) from None
        except OSError as error:
            raise ConfigError(
                f'cache {str(folder)!r} cannot be used ({error.strerror}): name another folder with --cache'
            ) from error
        if fresh:
            self.clear()
        self._files = self._whole_parts()
        self.complete, self.facts = self._state()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.close()

    def __len__(self) -> int:
        """Return the number of steps in the cache."""
        return sum(count for _, count in self._files)

    @property
    def info(self) -> StepsInfo:
        """What all steps have in common."""
        return Steps.load(self._files[0][0], thumbnails=False).info

    def parts(self, thumbnails: bool = False) -> Iterator[Steps]:
        """Yield the steps in order; see `StepSource`."""
        for path, _ in self._files:
            yield Steps.load(path, thumbnails)

    def append(self, steps: Steps) -> None:
        """Write the next steps to disk.

        Raises:
            ConfigError: they cannot be written.
        """
        path = self._folder / f'{len(self):08d}-{len(steps):04d}.npz'
        try:
            steps.save(path)
        except OSError as error:
            raise ConfigError(
                f'{path} cannot be written ({error.strerror}): free some space, or name another folder with --cache'
            ) from error
        self._files.append((path, len(steps)))

    def note(self, facts: StreamFacts, complete: bool) -> None:
        """Store what is known of the recording, and whether all of its steps are there."""
        self.complete, self.facts = complete, facts
        replace_text(self._folder / 'state.json', json.dumps({'complete': complete, 'facts': asdict(facts)}))

    def clear(self) -> None:
        """Remove all steps."""
        for path in self._folder.iterdir():
            if path.name != 'lock':
                path.unlink()
        self._files, self.complete = [], False

    def _whole_parts(self) -> list[tuple[Path, int]]:
        """Parts without a gap from the first step on, each with its number of steps."""
        found: list[tuple[Path, int]] = []
        for path in sorted(self._folder.glob('????????-????.npz')):
            first, count = (int(word) for word in path.stem.split('-'))
            if first != sum(size for _, size in found):
                break
            found.append((path, count))
        return found

    def _state(self) -> tuple[bool, StreamFacts]:
        try:
            state: dict[str, Any] = json.loads((self._folder / 'state.json').read_text(encoding='utf-8'))
        except (FileNotFoundError, json.JSONDecodeError):
            return False, StreamFacts()
        facts = state['facts']
        texts = tuple(facts['notes']), tuple(facts.get('warnings', ()))
        return state['complete'], StreamFacts(facts['partial'], facts['inputs'], *texts)


class FirstSteps:
    """The first steps of a cache, as many as --limit asks for; a `StepSource`."""

    def __init__(self, source: StepCache, limit: int) -> None:
        self._source, self._limit = source, limit

    def __len__(self) -> int:
        """Return the number of steps."""
        return min(len(self._source), self._limit)

    @property
    def info(self) -> StepsInfo:
        """What all steps have in common."""
        return self._source.info

    def parts(self, thumbnails: bool = False) -> Iterator[Steps]:
        """Yield the steps in order; see `StepSource`."""
        left = len(self)
        for part in self._source.parts(thumbnails):
            if left <= 0:
                return
            yield part.head(left)
            left -= len(part)


def fill(
    cache: StepCache, stream: StepStream, limit: int | None = None, advance: Callable[[Row], None] = lambda _: None
) -> None:
    """Bring a cache up to date: all steps of a stream, or the first `limit`.

    Args:
        cache: filled on from the steps it has.
        stream: unread.
        limit: number of steps that are enough.
        advance: called with every new step.

    Raises:
        BagError: the recording gives no step.
        ConfigError: the cache cannot be written.
    """
    if cache.complete or (limit is not None and len(cache) >= limit):
        return
    known = [stamp for part in cache.parts() for stamp in part.stamps_ns.tolist()]
    rows: list[Row] = []
    finished = False
    try:
        for row in stream.rows(known):
            rows.append(row)
            advance(row)
            if len(rows) == PART_STEPS:
                part, rows = rows, []  # in this order, so that Ctrl-C adds no step twice
                cache.append(Steps.of(stream.info, part))
            if limit is not None and len(cache) + len(rows) >= limit:
                break
        else:
            finished = True
    finally:  # steps before a Ctrl-C are kept too
        if rows:
            cache.append(Steps.of(stream.info, rows))
        cache.note(stream.facts(), finished and len(cache) > 0)
    if not len(cache):
        raise BagError(f'the recording gives no step: {"; ".join(stream.facts().notes) or "it has no observation"}')
