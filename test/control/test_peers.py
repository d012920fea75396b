# SPDX-License-Identifier: Apache-2.0
"""Which policies are lost when a publisher goes."""

from aura_ros.control import Policy
from aura_ros.control.peers import Peers

TOPICS = {'vla_step': frozenset(Policy), 'aura/action_chunk': frozenset({Policy.AURA})}


def test_a_publisher_that_never_existed_is_not_lost():
    peers = Peers(TOPICS)
    assert peers.update('vla_step', 0) == (frozenset(), frozenset())
    assert not peers.lost


def test_a_policy_is_lost_and_found_with_its_node():
    peers = Peers(TOPICS)
    peers.update('aura/action_chunk', 1)
    assert peers.update('aura/action_chunk', 0) == ({Policy.AURA}, frozenset())
    assert 'aura/action_chunk' in peers.lost[Policy.AURA]
    assert peers.update('aura/action_chunk', 1) == (frozenset(), {Policy.AURA})


def test_a_policy_is_found_only_when_all_its_topics_are_back():
    peers = Peers(TOPICS)
    for topic in TOPICS:
        peers.update(topic, 1)
    peers.update('aura/action_chunk', 0)
    assert peers.update('vla_step', 0) == ({Policy.BASE, Policy.KV}, frozenset())
    assert peers.update('vla_step', 1) == (frozenset(), {Policy.BASE, Policy.KV})
    assert set(peers.lost) == {Policy.AURA}
