# SPDX-License-Identifier: Apache-2.0
"""Faults on /diagnostics: every kind that is recent is named, and a lasting one is logged once."""

from diagnostic_msgs.msg import DiagnosticStatus

from aura_ros.ros.diagnostics import Faults

WARN, OK = DiagnosticStatus.WARN, DiagnosticStatus.OK


def test_a_fault_does_not_hide_another_kind():
    faults = Faults('all good')
    assert (faults.status().level, faults.status().message) == (OK, 'all good')
    faults.add('non_finite', 'a NaN in step 3')
    faults.add('late', 'control 80 ms late', times=2)
    faults.add('non_finite', 'a NaN in step 4')
    found = faults.status()
    assert found.level == WARN
    assert found.message == 'non_finite: a NaN in step 4; late: control 80 ms late'
    assert found.values == {'non_finite': 2, 'late': 2}


def test_a_lasting_fault_is_logged_once_and_again_after_a_pause(monkeypatch):
    now = 100.0
    monkeypatch.setattr('aura_ros.ros.diagnostics.time.monotonic', lambda: now)
    faults = Faults('all good')
    assert faults.add('late', 'first')
    for _ in range(10):
        now += 1.0
        assert not faults.add('late', 'goes on')
    now += 5.1
    assert faults.status().level == OK
    assert faults.add('late', 'again')
