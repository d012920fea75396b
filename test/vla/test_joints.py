# SPDX-License-Identifier: Apache-2.0
"""Joint positions are found by name, in messages that can name some of them."""

import numpy as np
import pytest

from aura_ros.common.errors import InputError
from aura_ros.vla.joints import MAX_JOINT_NAMES, joint_values

NAMES = ('lift', 'turn', 'grip')


def test_other_joints_are_ignored() -> None:
    found = joint_values(('wheel', 'grip', 'turn', 'lift'), (9.0, 3.0, 2.0, 1.0), NAMES)
    assert found == {'grip': 3.0, 'turn': 2.0, 'lift': 1.0}
    assert joint_values(('wheel', 'grip'), (np.nan, 3.0), NAMES) == {'grip': 3.0}
    assert joint_values((), (), NAMES) == {}


def test_a_joint_listed_twice_counts_once_if_both_positions_are_equal() -> None:
    assert joint_values(('grip', 'lift', 'grip'), (0.25, 1.0, 0.25), NAMES) == {'grip': 0.25, 'lift': 1.0}
    with pytest.raises(InputError, match=r'the joint grip twice with different positions, 0\.25 and 0\.5'):
        joint_values(('grip', 'grip'), (0.25, 0.5), NAMES)


@pytest.mark.parametrize(
    ('names', 'positions', 'text'),
    [
        (('lift', 'turn'), (1.0,), '1 positions for 2 names'),
        (('lift', 'turn', 'grip'), (1.0, np.inf, 1.0), 'is not finite: turn = inf'),
        (['wheel'] * (MAX_JOINT_NAMES + 1), [0.0] * (MAX_JOINT_NAMES + 1), 'must have 1024 at most'),
        (('lift', 'turn'), (1.0, 1e300), 'is not finite: turn = 1e'),
    ],
)
def test_a_message_that_cannot_be_used_names_the_joint(names: list[str], positions: list[float], text: str) -> None:
    with pytest.raises(InputError, match=text):
        joint_values(names, positions, NAMES)
