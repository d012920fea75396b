# SPDX-License-Identifier: Apache-2.0
"""Which policies are lost when a publisher goes."""

from aura_ros.control import Policy
from aura_ros.control.peers import Peers

NOW_NS = 5_000_000_000
TOPICS = {'vla_step': frozenset(Policy), 'aura/action_chunk': frozenset({Policy.AURA})}


def test_a_publisher_that_never_existed_is_not_lost():
    peers = Peers(TOPICS)
    assert peers.update('vla_step', 0, NOW_NS) == (frozenset(), frozenset())
    assert not peers.lost


def test_a_policy_is_lost_and_found_with_its_node():
    peers = Peers(TOPICS)
    peers.update('aura/action_chunk', 1, NOW_NS)
    assert peers.update('aura/action_chunk', 0, NOW_NS) == ({Policy.AURA}, frozenset())
    assert 'aura/action_chunk' in peers.lost[Policy.AURA]
    assert peers.update('aura/action_chunk', 1, NOW_NS) == (frozenset(), {Policy.AURA})


def test_a_policy_is_found_only_when_all_its_topics_are_back():
    peers = Peers(TOPICS)
    for topic in TOPICS:
        peers.update(topic, 1, NOW_NS)
    peers.update('aura/action_chunk', 0, NOW_NS)
    assert peers.update('vla_step', 0, NOW_NS) == ({Policy.BASE, Policy.KV}, frozenset())
    assert peers.update('vla_step', 1, NOW_NS) == (frozenset(), {Policy.BASE, Policy.KV})
    assert set(peers.lost) == {Policy.AURA}


def test_only_an_observation_after_the_loss_proves_the_return():
    peers = Peers(TOPICS)
    peers.update('vla_step', 1, NOW_NS)
    assert not peers.proves_return('vla_step', NOW_NS + 1, NOW_NS + 2)
    peers.update('vla_step', 0, NOW_NS)
    assert not peers.proves_return('vla_step', NOW_NS, NOW_NS + 2)
    assert not peers.proves_return('vla_step', NOW_NS + 3, NOW_NS + 2), 'a stamp from the future'
    assert peers.proves_return('vla_step', NOW_NS + 1, NOW_NS + 2)
    peers.update('vla_step', 1, NOW_NS + 2)
    assert not peers.proves_return('vla_step', NOW_NS + 1, NOW_NS + 2)


def test_a_message_shows_a_publisher_whose_arrival_was_missed():
    peers = Peers(TOPICS)
    assert not peers.alive('vla_step')
    peers.seen('vla_step')
    assert peers.alive('vla_step')
    peers.update('vla_step', 0, NOW_NS)
    assert set(peers.lost) == set(Policy)
    peers.seen('vla_step')  # a message that was sent before the loss proves no return
    assert set(peers.lost) == set(Policy) and not peers.alive('vla_step')
