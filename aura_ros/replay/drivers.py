# SPDX-License-Identifier: Apache-2.0
"""Who drove when a recording was made, by the policy_status that our own graph recorded.

The actions of a policy that drove are the recorded ones: that it is near to them says nothing of how good it is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from aura_ros.common.names import POLICIES
from aura_ros.recordings.bags import Bag
from aura_ros.recordings.type_names import POLICY_STATUS


def drivers(bag: Bag, stamps_ns: NDArray[np.int64]) -> dict[str, float]:
    """Share of the steps that each policy drove [1]; empty where the recording does not say.

    Args:
        bag: open.
        stamps_ns: int64 [N], of the steps [ns].

    """
    topics = [topic.name for topic in bag.topics if topic.type == POLICY_STATUS and topic.count]
    told = [
        (sample.stamp_ns, number, int(sample.message.policy) if sample.message.control_enabled else -1)
        for number, sample in enumerate(bag.samples(topics) if topics else ())
    ]
    if not told or not len(stamps_ns):
        return {}
    told.sort()
    # In force: the newest that is not after the step.
    places = np.searchsorted([at_ns for at_ns, _, _ in told], stamps_ns, side='right') - 1
    drove = Counter(told[place][2] for place in places.tolist() if place >= 0)
    return {name: drove[policy] / len(stamps_ns) for policy, name in enumerate(POLICIES) if drove[policy]}


def shares(found: Mapping[str, float]) -> str:
    """Who drove how much, 'base (35 % of the steps) and aura (65 %)'."""
    words = [f'{name} ({share:.0%} of the steps)'.replace('%', ' %') for name, share in found.items()]
    return words[0] if len(words) == 1 else f'{", ".join(words[:-1])} and {words[-1]}'
