# SPDX-License-Identifier: Apache-2.0
"""Each message of a publisher passes once, in order, although two subscriptions receive it."""

from aura_ros.ros import newest_only
from aura_ros.ros.newest_only import NewestOnly

P, Q = b'publisher p', b'publisher q'


def taken(*messages, at=None, monkeypatch=None):
    found = []
    take = NewestOnly(found.append)
    for number, (publisher, sent_ns, text) in enumerate(messages):
        if at is not None:
            monkeypatch.setattr(newest_only.time, 'monotonic', lambda number=number: at[number])
        take(text, {'source_timestamp': sent_ns, 'publisher_gid': {'data': publisher}})
    return found


def test_a_repeated_or_overtaken_message_is_skipped():
    assert taken((P, 1, 'a'), (P, 1, 'a'), (P, 2, 'b'), (P, 1, 'a'), (P, 2, 'b')) == ['a', 'b']


def test_publishers_are_independent():
    assert taken((P, 5, 'a'), (Q, 1, 'b'), (P, 5, 'a'), (Q, 1, 'b')) == ['a', 'b']


def test_a_clock_that_was_set_back_loses_nothing(monkeypatch):
    messages = (P, 9_000_000_000, 'a'), (P, 1_000_000_000, 'b')
    assert taken(*messages, at=(100.0, 103.0), monkeypatch=monkeypatch) == ['a', 'b']


def test_without_the_publisher_only_repeated_messages_are_skipped():
    assert taken((b'', 5, 'a'), (b'', 5, 'a'), (b'', 1, 'b'), (b'', 1, 'b')) == ['a', 'b']


def test_without_send_times_every_message_passes():
    assert taken((P, 0, 'a'), (P, 0, 'a')) == ['a', 'a']


def test_the_number_of_publishers_is_bounded():
    take = NewestOnly(lambda _: None)
    for number in range(1000):
        take('text', {'source_timestamp': 1, 'publisher_gid': {'data': number.to_bytes(4, 'big')}})
    assert len(take._newest) == newest_only._PUBLISHERS
