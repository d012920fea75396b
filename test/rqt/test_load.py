# SPDX-License-Identifier: Apache-2.0
"""Thirty steps a second, each of them a write: no write is lost on the way to the model. Costs are told, not judged."""

import numpy as np
import pytest
from monitor_load import listen


@pytest.mark.graph
def test_thirty_writes_a_second_all_arrive(domain, monkeypatch, record_property):
    monkeypatch.setenv('ROS_DOMAIN_ID', str(domain))
    model, points, share = listen(30, 4.0)
    record_property('share of one core', round(share, 3))
    gate = model.gate()
    assert len(gate.t) > 60
    # their publisher keeps ten, so that a machine that stands still for a third of a second loses some
    assert np.all(np.diff(gate.seq) >= 1)
    writes = [point.seq for point in model.writes(0)]
    assert writes == list(range(writes[0], writes[-1] + 1))
    assert model.jumps == 0
    assert 4 <= len(model.thumbnails(0)) <= 20, 'a few at first, then two a second'
    assert points > 500
