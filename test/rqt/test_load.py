# SPDX-License-Identifier: Apache-2.0
"""At thirty steps a second, each with a write, no write is lost. The CPU share is recorded, not asserted."""

import numpy as np
import pytest
from monitor_load import receive


@pytest.mark.graph
def test_thirty_writes_a_second_all_arrive(domain, monkeypatch, record_property):
    monkeypatch.setenv('ROS_DOMAIN_ID', str(domain))
    model, points, share = receive(30, 4.0)
    record_property('share of one core', round(share, 3))
    gate = model.gate()
    assert len(gate.t) > 60
    # The publisher buffers ten samples, so a machine that stalls for a third of a second loses some.
    assert np.all(np.diff(gate.seq) >= 1)
    writes = [point.seq for point in model.writes(0)]
    assert writes == list(range(writes[0], writes[-1] + 1))
    assert model.jumps == 0
    assert 4 <= len(model.thumbnails(0)) <= 20, 'a burst first, then two a second'
    assert points > 500
