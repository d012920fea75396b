# SPDX-License-Identifier: Apache-2.0
"""LeRobot datasets, v2.1 and v3, read like a recording."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from aura_ros.errors import BagError
from aura_ros.replay.bags import Episode, Topic


def is_dataset(path: Path) -> bool:
    """Whether a folder is a LeRobot dataset."""
    return (path / 'meta' / 'info.json').is_file()


class Dataset:
    """See `bags.Source`."""

    def __init__(self, path: Path) -> None:
        self.topics: tuple[Topic, ...] = ()
        self.episodes: tuple[Episode, ...] = ()
        self.metadata: Mapping[str, str] = {}
        self.files: tuple[Path, ...] = ()
        self.partial = ''
        raise BagError(f'{path} is a LeRobot dataset')

    def messages(self, topics: Collection[str], begin_ns: int, end_ns: int) -> Iterator[tuple[str, int, Any]]:
        raise NotImplementedError

    def close(self) -> None:
        pass
