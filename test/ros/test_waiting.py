# SPDX-License-Identifier: Apache-2.0
"""Waiting for a condition: a stop signal ends the wait, also when rclpy hides it."""

import pytest

from aura_ros.common import program
from aura_ros.ros.waiting import spin_until


class HidesTheSignal:
    """An executor in which a KeyboardInterrupt becomes a RuntimeError, as in an argument conversion of rclpy."""

    def spin_once(self, timeout_sec):
        raise RuntimeError('Unable to convert call argument')


@pytest.mark.parametrize(('stopped', 'error'), [(True, KeyboardInterrupt), (False, RuntimeError)])
def test_a_hidden_stop_signal_ends_the_wait(monkeypatch, stopped, error):
    monkeypatch.setattr(program, '_stopped', program.threading.Event())
    if stopped:
        program._stopped.set()
    with pytest.raises(error):
        spin_until(HidesTheSignal(), lambda: False, 1.0)
