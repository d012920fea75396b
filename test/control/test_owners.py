# SPDX-License-Identifier: Apache-2.0
"""An episode belongs to the publisher that began it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from aura_ros.control import Chunk, Policy, PolicySwitch, Refusal, RobotConfig

START = 10**18
PERIOD = 50_000_000
VLA, MEMORY, KV, INTRUDER = b'vla', b'memory', b'kv', b'intruder'
ROBOT = RobotConfig(('j',), (-1.0,), (1.0,), (1.0,), (0.5,), 20.0)


@pytest.fixture
def switch() -> PolicySwitch:
    """A switch in episode 'e': the VLA and one memory have delivered step 0."""
    switch = PolicySwitch(ROBOT)
    assert offer(switch, Policy.BASE, VLA).accepted
    assert offer(switch, Policy.AURA, MEMORY).accepted
    return switch


def offer(switch: PolicySwitch, policy: Policy, publisher: bytes, seq: int = 0, episode: str = 'e'):
    now_ns = START + seq * 4 * PERIOD
    return switch.accept(Chunk(policy, episode, seq, now_ns, np.zeros(8), 8, 1, 0.05), now_ns, publisher)


@pytest.mark.fault('F26')
@pytest.mark.parametrize('policy', list(Policy))
@pytest.mark.parametrize('episode', ['e', 'other'])
def test_a_foreign_publisher_changes_nothing(
    switch: PolicySwitch, policy: Policy, episode: str, measured: Callable[[str], None]
) -> None:
    assert offer(switch, Policy.KV, KV).accepted
    for seq in range(50):
        verdict = offer(switch, policy, INTRUDER, seq, episode)
        assert verdict.refusal is Refusal.FOREIGN and INTRUDER.hex() in verdict.text
    assert switch.status.refused[policy] == {Refusal.FOREIGN: 50}
    assert switch.status.episode_id == 'e'
    for owned, publisher in ((Policy.BASE, VLA), (Policy.AURA, MEMORY), (Policy.KV, KV)):
        assert offer(switch, owned, publisher, 1).accepted
    measured(f'{policy.name.lower()}, {episode} episode: 50 foreign chunks refused and counted, the episode continues')


@pytest.mark.fault('F26')
def test_a_chunk_of_another_episode_does_not_end_the_running_one(switch: PolicySwitch) -> None:
    """A memory answers a foreign step, and the topic of a policy that is not in use belongs to no publisher."""
    for policy, publisher in ((Policy.AURA, MEMORY), (Policy.KV, INTRUDER)):
        verdict = offer(switch, policy, publisher, 1, 'other')
        assert verdict.refusal is Refusal.FOREIGN and 'only a step on vla_step' in verdict.text
    assert offer(switch, Policy.AURA, MEMORY, 1).accepted


def test_a_chunk_that_arrives_before_the_first_step_of_its_episode_is_used(switch: PolicySwitch) -> None:
    assert not offer(switch, Policy.AURA, MEMORY, 1, 'next').accepted
    assert offer(switch, Policy.BASE, VLA, 1, 'next').accepted
    assert switch.status.episode_id == 'next' and switch.status.newest_seq[Policy.AURA] == 1


@pytest.mark.fault('F26')
def test_a_restarted_node_takes_over_when_the_old_one_is_gone(
    switch: PolicySwitch, measured: Callable[[str], None]
) -> None:
    assert not offer(switch, Policy.AURA, b'restarted', 1).accepted
    switch.owners.keep(Policy.AURA, {b'restarted', MEMORY})
    assert not offer(switch, Policy.AURA, b'restarted', 1).accepted
    switch.owners.keep(Policy.AURA, {b'restarted'})
    assert offer(switch, Policy.AURA, b'restarted', 1).accepted
    assert offer(switch, Policy.AURA, MEMORY, 2).refusal is Refusal.FOREIGN
    switch.owners.keep(Policy.BASE, ())
    assert offer(switch, Policy.BASE, b'vla 2', 0, 'next').accepted
    assert switch.status.episode_id == 'next'
    measured('a memory and a VLA that restarted take over')
