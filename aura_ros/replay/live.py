# SPDX-License-Identifier: Apache-2.0
"""The proof on the spot: are the write events of the live run, where it recorded them, those of the replay?

Compared are the fields that do not depend on a medium, as the messages have them: gate, threshold, surprise, change of
the action and of the state, the number of the write and the CRC-32 of the whole state after it, bit for bit.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from aura_ros.recordings.bags import Bag
from aura_ros.recordings.type_names import WRITE_EVENT
from aura_ros.replay.evaluate import Write

_POLICY_AURA = 1
_FIELDS = ('gate', 'threshold', 'surprise', 'action_change', 'delta_norm', 'writes', 'state_crc32')


def recorded_writes(bag: Bag) -> list[Any] | None:
    """The write events of AURA's memory in a recording, each once; None where there is no topic of them."""
    topics = [topic.name for topic in bag.topics if topic.type == WRITE_EVENT and topic.count]
    if not topics:
        return None
    found = {
        (sample.message.episode_id, sample.message.seq): sample.message
        for sample in bag.samples(topics)
        if sample.message.policy == _POLICY_AURA
    }
    return list(found.values())


def compare(live: Iterable[Any], writes: Sequence[Write], stamps_ns: Iterable[int]) -> str:
    """Say in a sentence how many live write events the replay reproduces.

    Args:
        live: messages; those of other steps than `stamps_ns` do not count.
        writes: of the replay.
        stamps_ns: of all steps that were replayed [ns].

    """
    steps = set(stamps_ns)
    theirs = {stamp: event for event in live if (stamp := _stamp_ns(event)) in steps}
    ours = {write.stamp_ns: write for write in writes}
    if not theirs and not ours:
        return 'The live run wrote nothing on these steps, and neither does the replay.'
    differences = [
        problem for stamp in sorted({*theirs, *ours}) if (problem := _difference(theirs.get(stamp), ours.get(stamp)))
    ]
    if not differences:
        return f'All {len(theirs)} write events of the live run are reproduced bit for bit.'
    same = len({*theirs, *ours}) - len(differences)
    return (
        f'{same} of {len(theirs)} write events of the live run are reproduced bit for bit; the first that is not: '
        f'{differences[0]}. Did the live memory begin empty, with these weights?'
    )


def _difference(theirs: Any, ours: Write | None) -> str:
    """How two writes at the same stamp differ; empty where they are the same."""
    if ours is None:
        return f'step {theirs.seq} wrote live, not here'
    if theirs is None:
        return f'step {ours.seq} writes here, not live'
    for name in _FIELDS:
        live, here = getattr(theirs, name), getattr(ours, name)
        if live != here:
            return f'at step {theirs.seq} {name} was {live:.9g} live, {here:.9g} here'
    return ''


def _stamp_ns(event: Any) -> int:
    return int(event.header.stamp.sec) * 1_000_000_000 + int(event.header.stamp.nanosec)
