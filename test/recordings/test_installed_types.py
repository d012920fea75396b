# SPDX-License-Identifier: Apache-2.0
"""Definitions of installed packages go into the bag as rosbag2 writes them, and are read back."""

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip('rosbags', reason='the replay extra is not installed')

from rosbags.interfaces import MessageDefinition, MessageDefinitionFormat
from rosbags.typesys import Stores, get_typestore

from aura_ros.common.errors import BagError
from aura_ros.common.limits import DEFINITION_BYTES, DEFINITION_NESTING
from aura_ros.recordings.bags import Bag
from aura_ros.recordings.definitions import parse
from aura_ros.recordings.installed_types import installed_type, prefixes
from aura_ros.recordings.writer import Recording

GRIPPER = """\
# width of the opening [m]
float64 width 0.08
uint8 OPEN=1
lab_msgs/Limits limits  # of the motor
Finger[<=2] fingers
string<=16 name
builtin_interfaces/Time at
"""
LINE = '=' * 80


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package lab_msgs that is installed in a prefix of its own; returns its folder."""
    folder = tmp_path / 'workspace/share/lab_msgs'
    (folder / 'msg').mkdir(parents=True)
    (folder / 'action').mkdir()
    (folder / 'package.xml').write_text('<package/>')
    for name, text in {'Gripper': GRIPPER, 'Limits': 'float64[2] range\n', 'Finger': 'float32 force\n'}.items():
        (folder / f'msg/{name}.msg').write_text(text)
    before = os.environ.get('AMENT_PREFIX_PATH', '')
    monkeypatch.setenv('AMENT_PREFIX_PATH', os.pathsep.join(filter(None, [str(tmp_path / 'workspace'), before])))
    return folder


def typestore(name):
    """The types of an installed definition, as rosbags parses it."""
    types = get_typestore(Stores.EMPTY)
    types.register(parse(MessageDefinition(MessageDefinitionFormat.MSG, installed_type(name).text), name))
    return types


def test_the_text_has_every_type_once_as_rosbag2_writes_it(package):
    found = installed_type('lab_msgs/msg/Gripper')
    first, *others = found.text.split(f'{LINE}\n')
    assert first == f'{GRIPPER}\n'
    assert [other.split('\n')[0] for other in others] == [
        'MSG: lab_msgs/Limits',
        'MSG: lab_msgs/Finger',
        'MSG: builtin_interfaces/Time',
    ]
    assert found.hash == ''  # this package has no .json
    (package / 'msg/Gripper.json').write_text(
        json.dumps({'type_hashes': [{'type_name': 'lab_msgs/msg/Gripper', 'hash_string': 'RIHS01_ab'}]})
    )
    assert installed_type('lab_msgs/msg/Gripper').hash == 'RIHS01_ab'


def test_a_message_of_a_foreign_package_is_read_back(package, tmp_path):
    name = 'lab_msgs/msg/Gripper'
    types = typestore(name)
    make = {kind.rsplit('/', 1)[-1]: each for kind, each in types.types.items()}
    sent = make['Gripper'](
        width=0.05,
        limits=make['Limits'](range=np.array([0.0, 0.08])),
        fingers=[make['Finger'](force=1.5), make['Finger'](force=2.5)],
        name='pad',
        at=make['Time'](sec=7, nanosec=9),
    )
    recording = Recording(tmp_path / 'bag', 1 << 20)
    recording.topic('/gripper', name)
    recording.put('/gripper', 1, bytes(types.serialize_cdr(sent, name)))
    assert recording.close(30.0)
    package.rename(tmp_path / 'not_installed_where_it_is_read')
    with Bag(tmp_path / 'bag') as bag:
        (sample,) = bag.samples(['/gripper'])
    message = sample.message
    assert (message.width, message.limits.range.tolist(), message.name) == (0.05, [0.0, 0.08], 'pad')
    assert [finger.force for finger in message.fingers] == [1.5, 2.5]
    assert (message.at.sec, message.at.nanosec) == (7, 9)


def test_a_type_without_msg_file_is_taken_from_its_idl_file(package):
    idl = 'module lab_msgs { module msg { struct Pad { float force; }; }; };\n'
    (package / 'msg/Pad.idl').write_text(idl)
    outer = (
        '#include "lab_msgs/msg/Pad.idl"\nmodule lab_msgs { module msg { struct Two { lab_msgs::msg::Pad a; }; }; };\n'
    )
    (package / 'msg/Two.idl').write_text(outer)
    found = installed_type('lab_msgs/msg/Two').text
    assert found == f'{LINE}\nIDL: lab_msgs/msg/Two\n{outer}\n{LINE}\nIDL: lab_msgs/msg/Pad\n{idl}'


def test_the_feedback_of_an_action_is_taken_from_its_action_file(package):
    (package / 'action/Close.action').write_text('float64 width\n---\nbool done\n---\n# so far\nFinger finger\n')
    name = 'lab_msgs/action/Close_FeedbackMessage'
    found = parse(MessageDefinition(MessageDefinitionFormat.MSG, installed_type(name).text), name)
    assert [field for field, _ in found[name][1]] == ['goal_id', 'feedback']
    assert [field for field, _ in found['lab_msgs/action/Close_Feedback'][1]] == ['finger']


@pytest.mark.parametrize(
    'name',
    ['lab_msgs/msg/None', 'no_such_msgs/msg/Gripper', 'lab_msgs/Gripper', '../msg/Gripper', 'lab_msgs/msg/../../x', ''],
)
def test_what_is_not_installed_is_not_found(package, name):
    assert installed_type(name) is None


def test_a_definition_that_needs_an_unknown_type_is_not_found(package):
    (package / 'msg/Odd.msg').write_text('no_such_msgs/Thing thing\n')
    assert installed_type('lab_msgs/msg/Odd') is None


def test_definitions_are_bounded(package):
    (package / 'msg/Long.msg').write_text('#' * DEFINITION_BYTES + '\nfloat64 a\n')
    with pytest.raises(BagError, match=f'must have at most {DEFINITION_BYTES:,}'):
        installed_type('lab_msgs/msg/Long')
    for depth in range(DEFINITION_NESTING + 1):
        (package / f'msg/D{depth}.msg').write_text(f'D{depth + 1} inner\n')
    with pytest.raises(BagError, match='nested'):
        installed_type('lab_msgs/msg/D0')
    (package / 'msg/Self.msg').write_text('Self inner\n')
    assert installed_type('lab_msgs/msg/Self') is not None  # each text once, so it ends


def test_every_installed_message_can_be_recorded_with_its_own_hash():
    """rosbags has other names for byte and char, so that their hash differs there."""
    folders = [folder for prefix in prefixes() for folder in sorted((prefix / 'share').glob('*/msg'))]
    names = [f'{path.parts[-3]}/msg/{path.stem}' for folder in folders for path in sorted(Path(folder).glob('*.msg'))]
    assert 'sensor_msgs/msg/Image' in names
    for name in names:
        found = installed_type(name)
        if 'wstring' not in found.text:
            assert found.hash in ('', typestore(name).hash_rihs01(name)) or re.search('char|byte', found.text), name
