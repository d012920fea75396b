# SPDX-License-Identifier: Apache-2.0
"""The monitor finds what each row of a content-addressed memory holds, from the published states alone."""

import math
import warnings
from dataclasses import replace

import numpy as np
import pytest
from monitor_items import BUSY, EPISODE, HZ, ItemRun

from aura_ros.memory import Step
from aura_ros.memory.content_addressed import ITEM_KEY_DIM, ROWS
from aura_ros.rqt.items import holds_items
from aura_ros.rqt.model import MonitorModel
from aura_ros.rqt.points import GatePoint, Point, StatePoint, Thumbnail, WritePoint

OTHER = '5d3f7a10-7f0f-4f8e-a1c2-0a4be39d7c11'


def feed(model: MonitorModel, *points: Point) -> MonitorModel:
    for point in points:
        model.ingest(point, 0.0)
    return model


def row_of(key: int, share: float = 1.0) -> np.ndarray:
    """A row whose key is a unit vector and whose value is 0.5, times a share."""
    row = np.full(32, 0.5, np.float32)
    row[:ITEM_KEY_DIM] = np.eye(ITEM_KEY_DIM)[key]
    return row * np.float32(share)


def state(seq: int, rows: dict[int, np.ndarray], ages: dict[int, int], episode: str = EPISODE) -> StatePoint:
    """A state after step `seq`; `rows` in the order of their last writes, the oldest first."""
    weights, vector, row_age = np.zeros((ROWS, 32), np.float32), np.zeros(ROWS, np.float32), np.full(ROWS, seq + 1)
    for place, (row, content) in enumerate(rows.items(), ROWS - len(rows) + 1):
        weights[row], vector[row], row_age[row] = content, place, ages[row]
    return StatePoint(100.0 + seq / HZ, episode, seq, weights, vector, row_age.astype(np.uint64), seq)


def gate(seq: int) -> GatePoint:
    return GatePoint(100.0 + seq / HZ, EPISODE, seq, 0.1, 0.5, False, 1.0, 40.0, 4224, 1)


def write(seq: int) -> WritePoint:
    return WritePoint(100.0 + seq / HZ, EPISODE, seq, 1, 0.9, 0.5, 1.0, 0.1, 0.1, 1, 4224, 8352, 0.0, 7, 2)


def steps(model: MonitorModel) -> dict[int, tuple[int, bool]]:
    """Step of the last write of each row, and whether it is exact; the newest first."""
    return {item.row: (item.write.seq, item.write.exact) for item in model.items()}


@pytest.mark.parametrize('first', [0, 150])
def test_the_last_write_of_each_row_is_found_in_the_states_of_a_real_memory(first):
    run, model, exact, faded = ItemRun(600, BUSY), MonitorModel(), 0, 0
    for seq in range(600):
        points = run.step(seq)
        if seq < first:
            continue
        feed(model, *points)
        if seq % 3:
            continue
        feed(model, run.state(seq))
        items = model.items() or ()
        assert {item.row for item in items} == set(np.flatnonzero(run.memory.vector))
        assert [run.written[item.row] for item in items] == sorted(run.written[run.written >= 0], reverse=True)
        for item in items:
            faded += item.strength < 0.95
            exact += item.write.exact
            if item.write.exact:
                assert item.write.seq == run.written[item.row] and item.age_steps == seq - run.written[item.row]
                assert item.write.stamp_s == pytest.approx(run.begin_s + run.written[item.row] / HZ)
            else:
                assert first and item.write.seq >= run.written[item.row]
    assert len(items) > 25 and faded > 100 and exact > 2000


def test_the_message_of_the_state_carries_what_the_items_need():
    pytest.importorskip('rclpy')
    from aura_ros.ros import conversions
    from aura_ros.rqt import translate

    run, model = ItemRun(60, BUSY), MonitorModel()
    for seq in range(60):
        feed(model, *run.step(seq))
        stamp_ns = round((run.begin_s + seq / HZ) * 1e9)
        step = Step(EPISODE, seq, stamp_ns, run.stream.z[0, seq], np.zeros((1, 8), np.float32), 0.1)
        feed(model, translate.state(conversions.state_to_msg(step, run.memory)))
    assert {item.row: item.write.seq for item in model.items()} == {
        row: seq for row, seq in enumerate(run.written.tolist()) if seq >= 0
    }
    assert len(model.items()) > 3 and all(item.image is not None for item in model.items())


def test_a_dense_state_and_a_strange_one_hold_no_items():
    good = state(9, {3: row_of(0), 5: row_of(1)}, {3: 4, 5: 2})
    assert holds_items(good) is True
    assert holds_items(state(9, {}, {})) is None
    strange = [good.vector + 1, good.vector * np.float32(0.5), np.where(good.vector == 32, 31, good.vector)]
    strange += [np.zeros(ROWS, np.float32), np.full(ROWS, np.nan, np.float32), -good.vector]
    for vector in strange:
        assert holds_items(replace(good, vector=vector)) is False
    for bad in (1.5, math.nan, math.inf):
        weights = good.weights.copy()
        weights[5, 20] = bad
        assert holds_items(replace(good, weights=weights)) is False
    weights = good.weights.copy()
    weights[7, 0] = 0.1
    assert holds_items(replace(good, weights=weights)) is False, 'a free row is empty'
    assert feed(MonitorModel(), gate(9), replace(good, vector=strange[0])).items() is None
    assert MonitorModel().items() is None


@pytest.mark.parametrize('huge', [3e38, math.inf, math.nan])
def test_huge_numbers_of_another_memory_before_the_items_give_no_warning(huge):
    strange = replace(state(0, {}, {}), weights=np.full((ROWS, 32), huge, np.float32))
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        model = feed(MonitorModel(), gate(0), gate(1), strange, state(1, {3: row_of(0)}, {3: 0}))
    assert steps(model) == {3: (1, True)}


def test_a_row_that_fades_keeps_its_write_and_shows_what_is_left():
    model = feed(MonitorModel(), *(gate(seq) for seq in range(30)), state(0, {}, {}))
    feed(model, state(10, {3: row_of(0), 4: row_of(2)}, {3: 7, 4: 2}))
    feed(model, state(20, {3: row_of(0, 0.6), 4: row_of(2), 5: row_of(1)}, {3: 4, 4: 12, 5: 4}))
    assert steps(model) == {5: (16, True), 4: (8, True), 3: (3, True)}
    assert [round(item.strength, 3) for item in model.items()] == [1.0, 1.0, 0.6]
    assert [item.fading for item in model.items()] == [False, False, True]
    assert [item.rank for item in model.items()] == [1, 2, 3]


def test_a_second_write_of_an_item_is_its_last_write():
    model = feed(MonitorModel(), *(gate(seq) for seq in range(30)), state(0, {}, {}))
    feed(model, state(10, {3: row_of(0), 4: row_of(2)}, {3: 7, 4: 2}))
    again = row_of(0)
    again[20:] = -0.5
    feed(model, state(20, {4: row_of(2), 3: again}, {4: 12, 3: 1}))
    assert steps(model) == {3: (19, True), 4: (8, True)}


def test_a_monitor_that_starts_late_names_an_upper_bound_until_a_write_event_confirms_it():
    rows = {3: row_of(0, 0.9), 4: row_of(2), 5: row_of(1)}
    model = feed(MonitorModel(), *(gate(seq) for seq in range(15, 21)), state(20, rows, {3: 8, 4: 12, 5: 4}))
    assert steps(model) == {5: (16, False), 4: (8, False), 3: (12, False)}
    assert all(math.isnan(item.write.stamp_s) and item.image is None for item in model.items())
    feed(model, write(8), write(12), write(16), gate(21), state(21, rows, {3: 9, 4: 13, 5: 5}))
    # at step 12, row 3 was written or lost a part of its item
    assert steps(model) == {5: (16, True), 4: (8, True), 3: (12, False)}
    assert model.items()[1].write.stamp_s == 100.0 + 8 / HZ


def test_ages_that_start_again_with_the_node_are_no_writes():
    rows = {3: row_of(0), 4: row_of(2)}
    model = feed(MonitorModel(), *(gate(seq) for seq in range(40)), state(0, {}, {}))
    feed(model, state(10, rows, {3: 7, 4: 2}), state(30, rows, {3: 5, 4: 5}))
    assert steps(model) == {4: (8, True), 3: (3, True)}


def test_items_outlive_their_episode_and_a_reset_ends_them():
    rows = {3: row_of(0), 4: row_of(2)}
    model = feed(MonitorModel(), *(gate(seq) for seq in range(40)), state(0, {}, {}), state(30, rows, {3: 27, 4: 9}))
    kept = replace(state(2, rows, {3: 30, 4: 12}, OTHER), stamp_s=110.0)
    feed(model, kept)
    assert [(item.write.episode_id, item.write.seq, item.age_steps) for item in model.items()] == [
        (EPISODE, 21, -1),
        (EPISODE, 3, -1),
    ]
    feed(model, replace(state(4, {}, {}, OTHER), stamp_s=110.4))
    assert model.items() == (), 'an empty memory of a known kind'
    assert feed(MonitorModel(), gate(0), state(0, {}, {})).items() is None, 'an empty memory of an unknown kind'


def test_an_item_keeps_its_image_longer_than_the_history():
    model = feed(MonitorModel(), *(gate(seq) for seq in range(3)), state(0, {}, {}))
    first = Thumbnail(100.0 + 2 / HZ, np.zeros((2, 2, 3), np.uint8))
    rows = {3: row_of(0)}
    feed(model, first, state(2, rows, {3: 0}))
    for seq in range(3, 203):
        feed(model, gate(seq), Thumbnail(100.0 + seq / HZ, np.ones((2, 2, 3), np.uint8)))
        feed(model, state(seq, rows, {3: seq - 2}))
    assert first not in model.thumbnails(0)
    assert model.items()[0].image is first


def test_the_cursor_and_a_pause_select_the_items_of_a_moment():
    model = feed(MonitorModel(), *(gate(seq) for seq in range(41)), state(0, {}, {}))
    feed(model, state(10, {3: row_of(0)}, {3: 7}), state(20, {3: row_of(0), 4: row_of(1)}, {3: 17, 4: 1}))
    model.cursor = 102.1
    assert steps(model) == {3: (3, True)}
    model.cursor, model.paused = None, True
    feed(model, state(40, {3: row_of(0), 4: row_of(1), 5: row_of(2)}, {3: 37, 4: 21, 5: 1}))
    assert len(model.items()) == 2
    model.paused = False
    assert len(model.items()) == 3
