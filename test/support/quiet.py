# SPDX-License-Identifier: Apache-2.0
"""pytest plugin: tests that measure the machine run while the other workers of pytest-xdist wait.

A test with the marker `quiet` holds a lock alone, and all other tests share it. Slow tests measure figures for the
documentation, so they have the marker too. The quiet tests come last, so that the workers wait only at the end. In one
process the plugin does nothing.
"""

import fcntl
import os
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

_MARKER = 'quiet: measures times or rates that other tests would change; other workers wait meanwhile'
_ROOM = Path(__file__)
_DOOR = Path(__file__).parent
"""A test holds the lock of the door while it waits for the room, so that no other test overtakes it."""


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line('markers', _MARKER)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the quiet tests come last in a worker."""
    if _in_worker():
        items.sort(key=_is_quiet)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, Any, Any]:
    """Run a test with the lock. The timeout of the test begins after it has the lock."""
    if not _in_worker():
        return (yield)
    with ExitStack() as held:
        with _locked(_DOOR, alone=True):
            held.enter_context(_locked(_ROOM, alone=_is_quiet(item)))
        return (yield)


def _in_worker() -> bool:
    return 'PYTEST_XDIST_WORKER' in os.environ


def _is_quiet(item: pytest.Item) -> bool:
    return any(item.get_closest_marker(name) for name in ('quiet', 'slow'))


@contextmanager
def _locked(path: Path, alone: bool) -> Iterator[None]:
    """Hold the lock of a file or folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        yield
    finally:
        fcntl.flock(descriptor, fcntl.LOCK_UN)  # a forked process may still have the descriptor
        os.close(descriptor)
