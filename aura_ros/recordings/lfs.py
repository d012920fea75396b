# SPDX-License-Identifier: Apache-2.0
"""Git LFS pointers: after a clone without git-lfs, a small text file stands in place of the data."""

from pathlib import Path

from aura_ros.common.errors import BagError

_START = b'version https://git-lfs'
_MOST_BYTES = 1024
"""Largest size of a pointer by its specification [B]."""


def pointer_problem(path: Path) -> str:
    """Return what a file is instead of the recording, with the fix; '' if it is no pointer."""
    if path.stat().st_size > _MOST_BYTES:
        return ''
    with path.open('rb') as file:
        pointer = file.read(len(_START)) == _START
    return 'is a Git LFS pointer, not the recording: run git lfs pull' if pointer else ''


def refuse_pointer(path: Path) -> None:
    """Check that an existing file is no pointer.

    Raises:
        BagError: it is one.
    """
    if problem := pointer_problem(path):
        raise BagError(f'{path} {problem}')
