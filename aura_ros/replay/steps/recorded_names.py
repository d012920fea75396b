# SPDX-License-Identifier: Apache-2.0
"""Names of the joints that the messages of a topic have, from the first ones that name any."""

from collections.abc import Collection
from typing import Any

from aura_ros.recordings.bags import Bag
from aura_ros.replay.steps.message_values import ACTION_TYPES, POSE_COLUMNS, TWIST_COLUMNS

_FIXED = {
    ACTION_TYPES['twist']: TWIST_COLUMNS,
    ACTION_TYPES['twist_stamped']: TWIST_COLUMNS,
    ACTION_TYPES['pose_stamped']: POSE_COLUMNS,
}


def recorded_names(
    bag: Bag, topic: str, type_name: str, wanted: Collection[str] = (), span_ns: int | None = None
) -> tuple[str, ...]:
    """Return the names in the messages of a topic, each once in the order of their first use.

    An arm and its gripper can take turns on a topic, and the first messages can be empty. So messages are read until
    all `wanted` names are found, or for `span_ns` of log time after the first name [ns]; None reads all.
    """
    if type_name in _FIXED:
        return _FIXED[type_name]
    found: dict[str, None] = {}
    begin_ns = None
    for sample in bag.samples([topic]):
        found.update(dict.fromkeys(_names(sample.message)))
        if found and begin_ns is None:
            begin_ns = sample.log_ns
        if wanted and found.keys() >= set(wanted):
            break
        if span_ns is not None and begin_ns is not None and sample.log_ns - begin_ns > span_ns:
            break
    return tuple(found)


def _names(message: Any) -> tuple[str, ...]:
    return tuple(getattr(message, 'name', None) or getattr(message, 'joint_names', None) or ())
