# SPDX-License-Identifier: Apache-2.0
"""A recording of version 0.1.0: its messages have today's names, and each old name has a new one."""

from __future__ import annotations

from pathlib import Path

import pytest
from rosbags.interfaces import MessageDefinition, MessageDefinitionFormat
from rosbags.rosbag2 import Reader
from rosbags.typesys import get_types_from_msg

from aura_ros.common.action_codes import components_of
from aura_ros.recordings.bags import Bag
from aura_ros.recordings.message_types import _before_additions, decoder, standard_types
from aura_ros.recordings.old_names import ADDED_FIELDS, OLD_FIELDS, OLD_NOTES, OLD_TYPES, current_field, current_type

OLD_BAG = Path(__file__).parents[1] / 'data/recording_0_1_0'
STANDARD, BEFORE = standard_types('kilted'), _before_additions('kilted')


@pytest.fixture(scope='module')
def bag():
    with Bag(OLD_BAG) as opened:
        yield opened


def messages(bag, topic):
    return [sample.message for sample in bag.samples([topic])]


def written(message, name):
    return bytes(STANDARD.serialize_cdr(message, name))


def stripped(message, name):
    """The bytes of a message without the fields that version 0.1.0 did not have."""
    return bytes(BEFORE.serialize_cdr(message, name))


def test_old_messages_have_todays_types_and_fields(bag):
    types = {topic.name: topic.type for topic in bag.topics}
    ours = [topic for topic, name in types.items() if name.startswith('aura_ros/')]
    assert types['/arm_status'] == 'aura_ros/msg/PolicyStatus'
    assert len(ours) == 10
    for topic in ours:
        fields = {field for field, _ in STANDARD.fielddefs[types[topic]][1]}
        assert {name for name in vars(messages(bag, topic)[0]) if name.islower() and name[0] != '_'} == fields, topic


def test_old_values_are_under_todays_names(bag):
    status = messages(bag, '/arm_status')
    assert {message.policy for message in status} == {message.pending_policy for message in status} == {0, 1, 2}
    step = messages(bag, '/vla_step')[0]
    assert (step.chunk_size, step.action_dim, len(step.base_action)) == (8, 8, 64)
    assert step.backbone_hash in bag.metadata['aura_ros/backbone_hashes']
    assert {message.policy for message in messages(bag, '/aura/gate')} == {1}
    chunk = messages(bag, '/kv/action_chunk')[0]
    assert (chunk.policy, chunk.chunk_size, chunk.POLICY_KV) == (2, 8, 2)
    assert all(message.storage_life_years >= 0.0 for message in messages(bag, '/aura/write_event'))


def test_old_messages_can_be_written_again(bag):
    """The player serialises recorded messages by today's types."""
    for topic in ('/vla_step', '/arm_status', '/aura/write_event'):
        with Reader(OLD_BAG) as reader:
            old = [bytes(data) for one, _, data in reader.messages() if one.topic == topic]
        new = messages(bag, topic)
        name = new[0].__msgtype__
        again = [STANDARD.deserialize_cdr(written(message, name), name) for message in new]
        assert [stripped(message, name) for message in again] == [
            # by way of the old layout, because the bytes between fields are not defined
            stripped(BEFORE.deserialize_cdr(data, name), name)
            for data in old
        ]


def test_old_messages_mean_absolute_joint_targets(bag):
    for topic in ('/vla_step', '/aura/action_chunk', '/kv/action_chunk'):
        assert all(components_of(message, message.action_dim) == () for message in messages(bag, topic))


def test_old_messages_without_a_definition_are_read():
    """Recordings in SQLite of an early ROS have no definitions."""
    with Reader(OLD_BAG) as reader:
        connection, _, data = next(found for found in reader.messages() if found[0].topic == '/vla_step')
        bare = connection._replace(msgdef=MessageDefinition(MessageDefinitionFormat.NONE, ''))
        step = decoder(bare, 'humble')(bytes(data))
    assert (step.action_dim, len(step.base_action), step.components) == (8, 64, [])


def test_each_old_name_is_in_the_bag_and_each_new_name_is_in_the_definitions():
    with Reader(OLD_BAG) as reader:
        old = {}
        for one in reader.connections:
            if one.msgtype.startswith('aura_ros/'):
                old |= {one.msgtype: get_types_from_msg(one.msgdef.data, one.msgtype)[one.msgtype]}
    assert OLD_TYPES.keys() <= old.keys()
    assert all(f'{key}:' in (OLD_BAG / 'metadata.yaml').read_text() for key in OLD_NOTES)
    for recorded, (constants, fields) in old.items():
        name = current_type(recorded)
        known_constants, known_fields = STANDARD.fielddefs[name]
        # The layout is the same up to the added fields, so that an old message without a definition is decoded.
        added = ADDED_FIELDS.get(name, ())
        assert [(current_field(name, field), kind) for field, kind in fields] == [
            field for field in known_fields if field[0] not in added
        ], name
        assert tuple(field for field, _ in known_fields[len(fields) :]) == added, name
        # Later versions may add constants, but those of an old message keep their values.
        assert {(current_field(name, one[0]), *one[1:]) for one in constants} <= set(known_constants), name
        assert OLD_FIELDS.get(name, {}).keys() <= {one[0] for one in (*constants, *fields)}, name
