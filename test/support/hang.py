# SPDX-License-Identifier: Apache-2.0
"""pytest plugin: ends a process whose test hangs in C code.

pytest-timeout interrupts a test in Python. The middleware may never return: in Fast DDS, the close of an endpoint can
wait for ever for the thread that announces the participant (eProsima/Fast-DDS issue 6502). Then this plugin prints the
Python stack and ends the process, so that pytest-xdist reports the test as failed and goes on with another worker.
"""

import faulthandler
import sys
from collections.abc import Generator
from typing import Any

import pytest

_GRACE_S = 60.0
"""Time that pytest-timeout has first [s]."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, Any, Any]:
    """End the process when the time-out of the test has been over for a while."""
    marker = item.get_closest_marker('timeout')
    limit_s = float(marker.args[0] if marker and marker.args else item.config.getini('timeout') or 0)
    if limit_s <= 0:
        return (yield)
    # A test has three phases, and pytest-timeout gives them one limit together.
    faulthandler.dump_traceback_later(limit_s + _GRACE_S, exit=True, file=sys.__stderr__)
    try:
        return (yield)
    finally:
        faulthandler.cancel_dump_traceback_later()
