# SPDX-License-Identifier: Apache-2.0
"""Which policy drove when a recording was made, by the recorded policy_status.

The actions of the policy that drove are the recorded ones. A low error of this policy is therefore no evidence.
"""

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from aura_ros.common.names import POLICIES
from aura_ros.recordings.bags import Bag
from aura_ros.recordings.type_names import POLICY_STATUS


def drivers(bag: Bag, stamps_ns: NDArray[np.int64]) -> dict[str, float]:
    """Return the share of the steps that each policy drove [1]; empty without a recorded policy_status.

    Args:
        bag: open recording.
        stamps_ns: stamps of the steps, int64 [N] [ns].
    """
    topics = [topic.name for topic in bag.of_type(POLICY_STATUS)]
    statuses = [
        (sample.stamp_ns, number, int(sample.message.policy) if sample.message.control_enabled else -1)
        for number, sample in enumerate(bag.samples(topics) if topics else ())
    ]
    if not statuses or not len(stamps_ns):
        return {}
    statuses.sort()
    # The status in force at a step is the newest one that is not after the step.
    places = np.searchsorted([at_ns for at_ns, _, _ in statuses], stamps_ns, side='right') - 1
    drove = Counter(statuses[place][2] for place in places.tolist() if place >= 0)
    return {name: drove[policy] / len(stamps_ns) for policy, name in enumerate(POLICIES) if drove[policy]}
