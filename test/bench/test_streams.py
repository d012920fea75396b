# SPDX-License-Identifier: Apache-2.0
"""Streams: every query has an answer that was shown, and shares match the setting."""

import numpy as np
import pytest

from aura_ros.bench.streams import (
    CLASSES,
    FEATURE_DIM,
    SPLITS,
    Kind,
    Streams,
    StreamSetting,
    codebook,
    draw,
    generator,
    pieces,
)
from aura_ros.common.errors import ConfigError

SETTING = StreamSetting(8, event=0.1, repeat=0.3, query=0.2, code_noise=0.0)


def shown_classes(streams):
    """The class whose code each step shows, -1 in a query, [B, T]."""
    part = streams.z[..., 32:48]
    near = (part @ codebook()[1].T.astype(np.float32)).argmax(-1)
    return np.where(np.abs(part).max(-1) == 0, -1, near)


def test_answers_follow_from_the_events_alone():
    streams = draw(SETTING, 20, 200, generator('train', 0))
    shown = shown_classes(streams)
    asked = 0
    for kind, key, value, target in zip(streams.kind, streams.key, shown, streams.target, strict=True):
        current = {}
        for t in range(len(kind)):
            if kind[t] == Kind.BINDING:
                assert key[t] not in current
            if kind[t] == Kind.REBINDING:
                assert current[key[t]] != value[t], 'a rebinding must change the class'
            if kind[t] in (Kind.BINDING, Kind.REBINDING):
                current[key[t]] = value[t]
            if kind[t] == Kind.REPEAT:
                assert current[key[t]] == value[t]
            assert target[t] == (current[key[t]] if kind[t] == Kind.QUERY else -1)
            asked += kind[t] == Kind.QUERY
    assert asked > 500


def test_query_does_not_show_its_answer():
    streams = draw(SETTING, 4, 100, generator('train', 0))
    assert not streams.z[streams.kind == Kind.QUERY][:, 32:48].any()


def test_shares_are_those_of_the_setting():
    streams = draw(SETTING, 200, 300, generator('train', 1))
    later = streams.kind[:, 20:]  # after the first bindings
    assert streams.events.mean() == pytest.approx(0.1, abs=0.005)
    assert (later == Kind.REPEAT).mean() == pytest.approx(0.3, abs=0.01)
    assert (later == Kind.QUERY).mean() == pytest.approx(0.2, abs=0.01)
    assert np.bincount(streams.target[streams.target >= 0], minlength=CLASSES).min() > 0


def test_seed_reproduces_a_split_and_splits_differ():
    first = {split: draw(SETTING, 2, 50, generator(split, 3)).z for split in SPLITS}
    assert all(z.shape == (2, 50, FEATURE_DIM) and z.dtype == np.float32 for z in first.values())
    for split, z in first.items():
        np.testing.assert_array_equal(z, draw(SETTING, 2, 50, generator(split, 3)).z)
        for other in set(SPLITS) - {split}:
            assert not np.isin(z[..., -8:], first[other][..., -8:]).any()


def bind_step_by_step(setting, count, length, rng):
    """Kind, key, class and answer of every step, from the definition, with the random numbers of `draw`."""
    current, rows = np.full((count, setting.bindings), -1), np.arange(count)
    sort = np.searchsorted(
        np.cumsum([setting.event, setting.repeat, setting.query]), rng.random((count, length)), side='right'
    )
    key, value = rng.integers(setting.bindings, size=(count, length)), rng.integers(CLASSES, size=(count, length))
    other = rng.integers(1, CLASSES, size=(count, length))
    kind, target = np.full((count, length), int(Kind.DISTRACTOR)), np.full((count, length), -1)
    for t in range(length):
        bound = current >= 0
        recalls = ((sort[:, t] == 1) | (sort[:, t] == 2)) & bound.any(1)
        key[recalls, t] = (bound * rng.random(bound.shape)).argmax(1)[recalls]
        now, event = current[rows, key[:, t]], sort[:, t] == 0
        kind[event, t] = np.where(now[event] < 0, Kind.BINDING, Kind.REBINDING)
        value[:, t] = np.where(event & (now >= 0), (now + other[:, t]) % CLASSES, value[:, t])
        current[rows[event], key[event, t]] = value[event, t]
        repeat, query = recalls & (sort[:, t] == 1), recalls & (sort[:, t] == 2)
        kind[repeat, t], kind[query, t] = Kind.REPEAT, Kind.QUERY
        value[repeat, t], target[query, t] = now[repeat], now[query]
    return kind, key, value, target


@pytest.mark.parametrize('keys', [1, 8, 40])
def test_whole_streams_are_those_of_the_definition(keys):
    setting = StreamSetting(keys, event=0.1, repeat=0.3, query=0.2)
    streams = draw(setting, 9, 150, generator('train', 2))
    kind, key, value, target = bind_step_by_step(setting, 9, 150, generator('train', 2))
    for found, expected in ((streams.kind, kind), (streams.key, key), (streams.target, target)):
        np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(shown_classes(streams)[kind != Kind.QUERY], value[kind != Kind.QUERY])


def joined(parts):
    return Streams(*(np.concatenate([getattr(part, name) for part in parts], 1) for name in Streams.__annotations__))


def test_one_piece_is_the_whole_stream():
    (piece,) = pieces(SETTING, 3, 100, generator('endurance', 5), piece=100)
    whole = draw(SETTING, 3, 100, generator('endurance', 5))
    assert all(np.array_equal(getattr(piece, name), getattr(whole, name)) for name in Streams.__annotations__)


def test_short_stream_is_the_beginning_of_a_long_one():
    short, long = (
        joined(list(pieces(SETTING, 2, length, generator('endurance', 1), piece=64))) for length in (90, 200)
    )
    assert all(np.array_equal(getattr(short, n), getattr(long.steps(0, 90), n)) for n in Streams.__annotations__)


def test_pieces_carry_the_bindings():
    parts = list(pieces(SETTING, 4, 1003, generator('endurance', 5), piece=50))
    assert [part.kind.shape for part in parts] == 20 * [(4, 50)] + [(4, 3)]
    whole = joined(parts)
    shown = shown_classes(whole)
    for kind, key, value, target in zip(whole.kind, whole.key, shown, whole.target, strict=True):
        current = {}
        for t in range(len(kind)):
            if kind[t] in (Kind.BINDING, Kind.REBINDING):
                assert (key[t] in current) == (kind[t] == Kind.REBINDING) and current.get(key[t]) != value[t]
                current[key[t]] = value[t]
            if kind[t] == Kind.REPEAT:
                assert current[key[t]] == value[t]
            assert target[t] == (current[key[t]] if kind[t] == Kind.QUERY else -1)
    assert (whole.kind == Kind.BINDING).sum() == 4 * SETTING.bindings, 'a piece must not start without bindings'


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'bindings': 65}, r'bindings must be 1\.\.64, got 65'),
        ({'event': 0.0}, 'event must be a probability'),
        ({'repeat': 0.8}, 'must be at most 1'),
    ],
)
def test_invalid_settings_are_rejected(change, message):
    with pytest.raises(ConfigError, match=message):
        StreamSetting(**{'bindings': 4, 'event': 0.1, 'repeat': 0.1, 'query': 0.2} | change)


def test_unknown_split_is_rejected():
    with pytest.raises(ConfigError, match='train, validation, evaluation'):
        generator('test', 0)
