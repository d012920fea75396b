# SPDX-License-Identifier: Apache-2.0
"""Compares the recorded write events of the live run with the writes of the replay, bit for bit.

The comparison covers the fields that do not depend on the storage device: gate, threshold, surprise, change of the
action and of the state, number of the write, and CRC-32 of the state after it.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from aura_ros.common.names import Policy
from aura_ros.recordings.bags import Bag
from aura_ros.recordings.type_names import WRITE_EVENT
from aura_ros.replay.evaluate import Write

_FIELDS = ('gate', 'threshold', 'surprise', 'action_change', 'delta_norm', 'writes', 'state_crc32')


def recorded_writes(bag: Bag) -> list[Any] | None:
    """Return the write events of AURA's memory in a recording, each once; None without a topic of them."""
    topics = [topic.name for topic in bag.of_type(WRITE_EVENT)]
    if not topics:
        return None
    found = {
        (sample.message.episode_id, sample.message.seq): sample.message
        for sample in bag.samples(topics)
        if sample.message.policy == Policy.AURA
    }
    return list(found.values())


def compare(live: Iterable[Any], writes: Sequence[Write], stamps_ns: Iterable[int]) -> str:
    """Return a sentence with the number of live write events that the replay reproduces.

    Args:
        live: WriteEvent messages; events of other steps than `stamps_ns` are ignored.
        writes: writes of the replay.
        stamps_ns: stamps of all replayed steps [ns].
    """
    steps = set(stamps_ns)
    recorded = {stamp: event for event in live if (stamp := _stamp_ns(event)) in steps}
    replayed = {write.stamp_ns: write for write in writes}
    if not recorded and not replayed:
        return 'Neither the live run nor the replay writes on these steps.'
    differences = [
        problem
        for stamp in sorted({*recorded, *replayed})
        if (problem := _difference(recorded.get(stamp), replayed.get(stamp)))
    ]
    if not differences:
        return f'The replay reproduces all {len(recorded)} write events of the live run bit for bit.'
    same = len({*recorded, *replayed}) - len(differences)
    return (
        f'The replay reproduces {same} of {len(recorded)} write events of the live run bit for bit; '
        f'the first difference: {differences[0]}. Check that the live memory started empty and had these weights.'
    )


def _difference(recorded: Any, replayed: Write | None) -> str:
    """How two writes with the same stamp differ; '' if they are equal."""
    if replayed is None:
        return f'step {recorded.seq} writes in the live run only'
    if recorded is None:
        return f'step {replayed.seq} writes in the replay only'
    for name in _FIELDS:
        live, here = getattr(recorded, name), getattr(replayed, name)
        if live != here:
            return f'at step {recorded.seq} {name} is {live:.9g} in the live run and {here:.9g} in the replay'
    return ''


def _stamp_ns(event: Any) -> int:
    return int(event.header.stamp.sec) * 1_000_000_000 + int(event.header.stamp.nanosec)
