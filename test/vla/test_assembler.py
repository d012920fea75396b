# SPDX-License-Identifier: Apache-2.0
"""One observation per reference stamp, aligned and fresh, or the name of what is missing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aura_ros.common.errors import ConfigError
from aura_ros.vla.assembler import Aligned, Assembler, AssemblerConfig, Gap, Wait

MS = 1_000_000
NOW = 1_700_000_000 * 1000 * MS
STREAMS = ('front', 'wrist', 'joints')


def assembler(**changes: int) -> Assembler[str]:
    return Assembler(AssemblerConfig(STREAMS, **changes))


def fill(target: Assembler[str], **at_ms: int) -> None:
    for stream, offset in at_ms.items():
        target.add(stream, NOW + offset * MS, f'{stream}{offset}')


def gap(target: Assembler[str], at_ms: int = 0) -> Gap:
    result = target.take(NOW + at_ms * MS)
    assert isinstance(result, Gap)
    return result


def aligned(target: Assembler[str], at_ms: int = 0) -> Aligned[str]:
    result = target.take(NOW + at_ms * MS)
    assert isinstance(result, Aligned)
    return result


def test_names_the_missing_stream() -> None:
    target = assembler()
    fill(target, front=-10, joints=-10)
    missing = gap(target)
    assert (missing.wait, missing.stream, missing.age_ns) == (Wait.MISSING, 'wrist', None)
    assert missing.faulty and missing.text == 'wrist has no sample'


def test_takes_the_newest_samples_before_the_reference() -> None:
    target = assembler()
    fill(target, front=-20, wrist=-50)
    fill(target, wrist=-30)
    fill(target, wrist=-10)
    for at in (-60, -40, -25, -15):
        fill(target, joints=at)
    observation = aligned(target)
    assert observation.stamp_ns == NOW - 20 * MS
    assert observation.samples == {'front': 'front-20', 'wrist': 'wrist-30', 'joints': 'joints-25'}
    assert observation.skew_ns == 10 * MS


def test_prefers_a_near_later_sample_to_one_too_old() -> None:
    target = assembler()
    fill(target, front=-20, wrist=-20, joints=-200)
    fill(target, joints=-5)
    assert aligned(target).samples['joints'] == 'joints-5'


def test_never_the_same_stamp_twice() -> None:
    target = assembler()
    fill(target, front=-20, wrist=-20, joints=-20)
    aligned(target)
    fill(target, joints=0)
    again = gap(target)
    assert again.wait is Wait.USED and not again.faulty
    assert not target.add('front', NOW - 20 * MS, 'republished')
    assert not target.add('front', NOW - 30 * MS, 'overtaken')
    assert (target.duplicates['front'], target.out_of_order['front']) == (1, 1)
    assert (target.duplicates['joints'], target.out_of_order['joints']) == (0, 0)


def test_an_observation_without_a_step_is_offered_again_and_keeps_the_interval() -> None:
    target = assembler(min_interval_ns=150 * MS)
    for at in (0, 100, 200):
        fill(target, front=at, wrist=at, joints=at)
    assert aligned(target, 200).stamp_ns == NOW + 200 * MS
    target.rewind(NOW)
    assert aligned(target, 200).stamp_ns == NOW + 200 * MS
    target.rewind(NOW + 100 * MS)
    assert gap(target, 200).wait is Wait.EARLY


@pytest.mark.parametrize(('stamp_ms', 'wait'), [(-300, None), (-301, Wait.STALE), (20, None), (21, Wait.FUTURE)])
def test_freshness_window(stamp_ms: int, wait: Wait | None) -> None:
    target = assembler()
    fill(target, front=stamp_ms, wrist=stamp_ms, joints=stamp_ms)
    if wait is None:
        aligned(target)
    else:
        found = gap(target)
        assert (found.wait, found.stream, found.age_ns) == (wait, 'front', -stamp_ms * MS)


def test_a_stream_that_fell_behind_is_named_with_its_age() -> None:
    target = assembler()
    fill(target, front=-10, wrist=-100, joints=-10)
    behind = gap(target)
    assert (behind.wait, behind.stream) == (Wait.UNALIGNED, 'wrist')
    assert 'wrist is 0.090 s from front' in behind.text and '0.100 s old' in behind.text


def test_a_camera_that_stopped_turns_from_used_to_stale() -> None:
    target = assembler()
    fill(target, front=0, wrist=0, joints=0)
    aligned(target)
    assert gap(target, 100).wait is Wait.USED
    assert gap(target, 400).wait is Wait.STALE


def test_keeps_the_interval() -> None:
    target = assembler(min_interval_ns=175 * MS)
    fill(target, front=0, wrist=0, joints=0)
    aligned(target)
    fill(target, front=100, wrist=100, joints=100)
    assert gap(target, 100).wait is Wait.EARLY
    fill(target, front=200, wrist=200, joints=200)
    assert aligned(target, 200).stamp_ns == NOW + 200 * MS


def test_clear_removes_all_samples() -> None:
    target = assembler()
    fill(target, front=0, wrist=0, joints=0)
    aligned(target)
    target.clear()
    assert gap(target).wait is Wait.MISSING
    fill(target, front=-100, wrist=-100, joints=-100)
    aligned(target)


@pytest.mark.parametrize(
    ('changes', 'word'),
    [
        ({'streams': ()}, 'streams'),
        ({'streams': ('a', 'a')}, 'streams'),
        ({'slop_ns': -1}, 'slop_ns'),
        ({'max_age_ns': 0}, 'max_age_ns'),
        ({'depth': 0}, 'depth'),
    ],
)
def test_bad_configuration_is_refused(changes: dict[str, object], word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        AssemblerConfig(**({'streams': STREAMS} | changes))  # type: ignore[arg-type]


@given(events=st.lists(st.tuples(st.sampled_from([*STREAMS, 'take']), st.integers(-400, 400)), max_size=120))
def test_promises_hold_for_any_traffic(events: list[tuple[str, int]]) -> None:
    target = assembler(depth=4)
    used: list[int] = []
    now_ms = 0
    for stream, value in events:
        if stream != 'take':
            target.add(stream, NOW + value * MS, stream)
            continue
        now_ms = max(now_ms, value)
        now = NOW + now_ms * MS
        result = target.take(now)
        if isinstance(result, Aligned):
            used.append(result.stamp_ns)
            assert set(result.samples) == set(STREAMS)
            assert result.skew_ns <= 60 * MS
            assert -20 * MS <= now - result.stamp_ns <= 300 * MS
        else:
            assert result.stream in STREAMS and result.text.startswith(result.stream)
    assert used == sorted(set(used))


# Joints, each with its own samples. -----------------------------------------------------------------------------------
def with_joints(**changes: object) -> Assembler[str]:
    return Assembler(AssemblerConfig(('front',), joints=('arm', 'gripper'), **changes))  # type: ignore[arg-type]


def test_each_joint_contributes_its_newest_position_before_the_reference() -> None:
    target = with_joints()
    target.add('front', NOW - 20 * MS, 'picture')
    assert target.add_joints(NOW - 25 * MS, {'arm': 1.0})
    assert target.add_joints(NOW - 25 * MS, {'gripper': 0.1})
    assert target.add_joints(NOW - 22 * MS, {'arm': 2.0, 'gripper': 0.2})
    assert target.add_joints(NOW - 10 * MS, {'arm': 3.0})
    # A late message of one joint is in order for that joint.
    assert target.add_joints(NOW - 21 * MS, {'gripper': 0.3})
    found = aligned(target)
    assert found.joints.tolist() == pytest.approx([2.0, 0.3])
    assert (found.joint_skew_ns, found.skew_ns) == (2 * MS, 2 * MS)


def test_a_missing_or_distant_joint_is_named() -> None:
    target = with_joints()
    target.add('front', NOW, 'picture')
    target.add_joints(NOW, {'arm': 1.0})
    assert (gap(target).stream, gap(target).text) == ('joint_states', 'joint_states: gripper has no sample')
    target.add_joints(NOW - 70 * MS, {'gripper': 0.1})
    assert gap(target).wait is Wait.UNALIGNED
    assert gap(target).text.startswith('joint_states: gripper is 0.070 s from front: allowed 0.06 s')


def test_a_slow_joint_may_have_a_slop_of_its_own() -> None:
    target = with_joints(joint_slop_ns={'gripper': 200 * MS})
    target.add('front', NOW, 'picture')
    target.add_joints(NOW, {'arm': 1.0})
    target.add_joints(NOW - 200 * MS, {'gripper': 0.1})
    assert aligned(target).joint_skew_ns == 200 * MS


def test_messages_of_joints_count_as_duplicate_only_if_no_joint_is_newer() -> None:
    target = with_joints()
    assert target.add_joints(NOW, {'arm': 1.0})
    assert target.add_joints(NOW, {'arm': 9.0, 'gripper': 0.1})
    assert not target.add_joints(NOW, {'arm': 9.0})
    assert not target.add_joints(NOW - MS, {'gripper': 9.0})
    assert (target.duplicates['joint_states'], target.out_of_order['joint_states']) == (1, 1)
    target.add('front', NOW, 'picture')
    assert aligned(target).joints.tolist() == pytest.approx([1.0, 0.1])


@given(st.lists(st.tuples(st.integers(0, 40), st.sets(st.sampled_from(['arm', 'gripper', 'lift']), min_size=1))))
def test_merging_in_any_split_and_order_gives_the_newest_of_each_joint(messages: list[tuple[int, set[str]]]) -> None:
    target: Assembler[str] = Assembler(
        AssemblerConfig(('front',), joints=('arm', 'gripper', 'lift'), depth=64, slop_ns=40 * MS)
    )
    newest: dict[str, int] = {}
    for at, joints in messages:
        target.add_joints(NOW + at * MS, dict.fromkeys(joints, float(at)))
        newest |= {joint: max(at, newest.get(joint, 0)) for joint in joints}
    target.add('front', NOW + 40 * MS, 'picture')
    result = target.take(NOW + 40 * MS)
    if len(newest) < 3:
        assert isinstance(result, Gap)
    else:
        assert isinstance(result, Aligned)
        assert result.joints.tolist() == [newest['arm'], newest['gripper'], newest['lift']]


def test_a_joint_named_twice_is_refused() -> None:
    with pytest.raises(ConfigError, match='distinct'):
        AssemblerConfig(('front',), joints=('arm', 'arm'))
