# SPDX-License-Identifier: Apache-2.0
"""Waiting for a condition: a stop signal ends the wait, also when rclpy hides it."""

import pytest

from aura_ros.common import program
from aura_ros.ros.waiting import spin_until


class HidesTheSignal:
    """An executor in which a KeyboardInterrupt becomes another error, as in a conversion of rclpy."""

    def __init__(self, error):
        self.error = error

    def spin_once(self, timeout_sec):
        raise self.error


@pytest.mark.parametrize(
    'hidden', [RuntimeError('Unable to convert call argument'), TypeError('Unable to convert function return value')]
)
@pytest.mark.parametrize('stopped', [True, False])
def test_a_hidden_stop_signal_ends_the_wait(monkeypatch, stopped, hidden):
    monkeypatch.setattr(program, '_stopped', program.threading.Event())
    if stopped:
        program._stopped.set()
    with pytest.raises(KeyboardInterrupt if stopped else type(hidden)):
        spin_until(HidesTheSignal(hidden), lambda: False, 1.0)
