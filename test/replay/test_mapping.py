# SPDX-License-Identifier: Apache-2.0
"""The mapping file: allowed content, error messages, and a round trip through YAML."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aura_ros.common.errors import ConfigError
from aura_ros.control import JointMap, JointSources
from aura_ros.replay.steps.mapping import CLOCKS, UNITS, ActionStream, Instruction, JointStream, Mapping
from aura_ros.replay.steps.mapping_file import as_yaml, load_mapping
from aura_ros.replay.steps.message_values import ACTION_TYPES

FULL = """\
cameras:
  front: /cam0
  wrist: /cam1
joints:
  topic: /joint_states
  names: {joint1: shoulder}
  unit: deg
actions:
  topic: /commands
  kind: float64_multi_array
  columns: [joint1, joint2]
  tolerance_s: 0.5
instruction: {text: put it back}
steps: /vla_step
slop_s: 0.1
"""


def load(tmp_path: Path, text: str) -> Mapping:
    file = tmp_path / 'mapping.yaml'
    file.write_text(text, encoding='utf-8')
    return load_mapping(file)


def test_reads_every_key(tmp_path: Path) -> None:
    assert load(tmp_path, FULL) == Mapping(
        {'front': '/cam0', 'wrist': '/cam1'},
        (JointStream('/joint_states', {'joint1': 'shoulder'}, 'deg'),),
        (ActionStream('/commands', 'float64_multi_array', ('joint1', 'joint2'), 'rad', 0.5),),
        Instruction(text='put it back'),
        '/vla_step',
        0.1,
    )


def test_a_topic_alone_is_a_stream(tmp_path: Path) -> None:
    found = load(tmp_path, 'cameras: {a: /a}\njoints: /j\nactions: /c\ninstruction: /i\n')
    assert found == Mapping({'a': '/a'}, (JointStream('/j'),), (ActionStream('/c'),), Instruction(topic='/i'))
    assert found.topics == ('/a', '/j', '/i', '/c') and not found.by_arrival


def test_joints_and_actions_can_have_several_topics_and_streams_a_clock(tmp_path: Path) -> None:
    text = """\
cameras: {a: {topic: /a, clock: arrival}, b: /b}
joints:
  - /arm/joint_states
  - {topic: /gripper/joint_states, names: {grip: finger}, unit: mm, clock: arrival}
actions: [/arm/commands, {topic: /gripper/commands, columns: [grip], tolerance_s: 60}]
"""
    found = load(tmp_path, text)
    assert found.cameras == {'a': '/a', 'b': '/b'} and found.arrival_cameras == {'a'}
    gripper = JointStream('/gripper/joint_states', {'grip': 'finger'}, 'mm', 'arrival')
    assert found.joints == (JointStream('/arm/joint_states'), gripper)
    commands = ActionStream('/gripper/commands', columns=('grip',), tolerance_s=60)
    assert found.actions == (ActionStream('/arm/commands'), commands)
    assert found.by_arrival == {'/a', '/gripper/joint_states'}


@pytest.mark.parametrize(
    ('joints', 'words'),
    [
        ('[]', ["key 'joints'", 'a topic, or a list of topics']),
        ('[/a, {topic: /a, unit: mm}]', ["key 'joints'", 'different topics']),
        ('[/a, 3]', ["key 'joints'", 'a block of topic, names, unit, clock']),
    ],
)
def test_a_list_of_streams_is_checked(tmp_path: Path, joints: str, words: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, f'cameras: {{a: /a}}\njoints: {joints}\n')
    assert all(word in str(caught.value) for word in [*words, 'mapping.yaml:2']), caught.value


def test_recorded_steps_need_no_cameras(tmp_path: Path) -> None:
    assert load(tmp_path, 'steps: /vla_step\n').topics == ('/vla_step',)


@pytest.mark.parametrize(
    ('change', 'line', 'words'),
    [
        (('slop_s: 0.1', 'slop_s: -1'), 15, ["key 'slop_s'", '-1', '0..10']),
        (('slop_s: 0.1', 'slop_s: true'), 15, ["key 'slop_s'", 'True']),
        (('slop_s: 0.1', 'slop_s: .nan'), 15, ["key 'slop_s'", 'nan']),
        (
            ('slop_s', 'slops'),
            15,
            ["key 'slops'", 'cameras, joints, actions, instruction, steps, slop_s, max_joint_age_s'],
        ),
        (('unit: deg', 'unit: turns'), 7, ["key 'unit'", "'turns'", 'rad, deg, m, mm']),
        (('kind: float64_multi_array', 'kind: pose'), 10, ["key 'kind'", "'pose'", 'auto, joint_trajectory']),
        (('[joint1, joint2]', '[joint1, joint1]'), 11, ["key 'columns'", 'different names']),
        (('[joint1, joint2]', '3'), 11, ["key 'columns'", 'BACKBONE_JOINT: RECORDED_COLUMN']),
        (('tolerance_s: 0.5', 'tolerance_s: 3601'), 12, ["key 'tolerance_s'", '3601']),
        (('  wrist: /cam1', '  wrist: 1'), 3, ["key 'wrist'", 'a non-empty text']),
        (('  wrist: /cam1', "  wrist: ''"), 3, ["key 'wrist'"]),
        (('{text: put it back}', '{text: a, topic: /b}'), 13, ["key 'instruction'", 'either a topic or a text']),
        (('{text: put it back}', '{}'), 13, ["key 'instruction'", 'either a topic or a text']),
        (('{text: put it back}', '{words: a}'), 13, ["key 'words'", 'topic, text']),
        (('  topic: /joint_states\n', ''), 5, ["key 'joints'", "the key 'topic'"]),
        (('names: {joint1: shoulder}', 'names: [shoulder]'), 6, ["key 'names'", 'BACKBONE_JOINT: RECORDED_JOINT']),
        (('cameras:\n  front: /cam0\n  wrist: /cam1\n', 'cameras: {}\n'), 1, ["key 'cameras'", 'CAMERA: TOPIC']),
        (('cameras:\n  front: /cam0\n  wrist: /cam1\n', 'cameras: /cam0\n'), 1, ["key 'cameras'", 'CAMERA: TOPIC']),
        (('actions:\n', 'actions: []\nother:\n'), 9, ["key 'other'"]),
        (('  front: /cam0', '  front: {topic: /cam0, clock: wall}'), 2, ["key 'clock'", "'wall'", 'stamp, arrival']),
        (('  front: /cam0', '  front: {clock: arrival}'), 2, ["key 'front'", "the key 'topic'"]),
        (('slop_s: 0.1', 'max_joint_age_s: -0.1'), 15, ["key 'max_joint_age_s'", '-0.1', '0..3600']),
        (('instruction: {', 'instruction: {['), 13, ['not valid YAML']),
    ],
)
def test_errors_name_line_key_value_and_allowed_values(
    tmp_path: Path, change: tuple[str, str], line: int, words: list[str]
) -> None:
    text = FULL.replace(*change)
    assert text != FULL
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)
    message = str(caught.value)
    assert all(word in message for word in words), message
    found = int(message.removeprefix(f'{tmp_path}/mapping.yaml:').split(':')[0])
    assert abs(found - line) <= (1 if 'not valid' in message else 0), message


@pytest.mark.parametrize('text', ['', '- a', 'joints: /j', 'cameras: {a: /a}', 'a'])
def test_a_file_without_a_required_key_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match=r'mapping.yaml:1'):
        load(tmp_path, text)


def test_a_missing_or_binary_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match='cannot be read'):
        load_mapping(tmp_path / 'none.yaml')
    (tmp_path / 'mapping.yaml').write_bytes(b'\xff\xfe\x00')
    with pytest.raises(ConfigError, match=r'mapping.yaml'):
        load_mapping(tmp_path / 'mapping.yaml')


# Non-empty text that YAML can store in a plain file.
names = st.text(st.characters(codec='utf-8', exclude_categories=['C', 'Zl', 'Zp']), min_size=1).filter(str.strip)
seconds = st.floats(0, 10)
renamed = st.dictionaries(names, names, min_size=1, max_size=3)
joints = st.builds(JointStream, names, renamed | st.just({}), st.sampled_from(list(UNITS)), st.sampled_from(CLOCKS))
actions = st.builds(
    ActionStream,
    names,
    st.sampled_from(['auto', *ACTION_TYPES]),
    st.just(()) | renamed | st.lists(names, min_size=1, max_size=4, unique=True).map(tuple),
    st.sampled_from(list(UNITS)),
    seconds,
    st.sampled_from(CLOCKS),
)


def streams(stream: st.SearchStrategy[Any], least: int) -> st.SearchStrategy[tuple[Any, ...]]:
    """Streams with different topics."""
    return st.lists(stream, min_size=least, max_size=3, unique_by=lambda one: one.topic).map(tuple)


mappings = st.builds(
    Mapping,
    st.dictionaries(names, names, min_size=1, max_size=3),
    streams(joints, 1),
    streams(actions, 0),
    st.just(Instruction()) | st.builds(Instruction, topic=names) | st.builds(Instruction, st.just(''), names),
    st.just('') | names,
    seconds,
    seconds,
).flatmap(
    lambda mapping: st.builds(
        replace, st.just(mapping), arrival_cameras=st.frozensets(st.sampled_from(list(mapping.cameras)))
    )
)


@given(mapping=mappings)
def test_a_written_mapping_reads_back_the_same(tmp_path_factory: pytest.TempPathFactory, mapping: Mapping) -> None:
    file = tmp_path_factory.mktemp('mapping') / 'mapping.yaml'
    file.write_text(as_yaml(mapping, ('a note',)), encoding='utf-8')
    assert load_mapping(file) == mapping


@pytest.mark.fault('F34')
def test_evil_names_stay_data_in_a_proposed_mapping(tmp_path, measured):
    evil = '\x1b[2J\u202ename\nslop_s: 99'
    mapping = Mapping({'front': f'/{evil}'}, (JointStream('/joints', {'joint_1': evil}),))
    text = as_yaml(mapping, (f'joints: names differ: joint_1 = {evil}', evil * 10_000))
    assert text.replace('\n', '').isprintable() and len(text) < 5000
    file = tmp_path / 'mapping.yaml'
    file.write_text(text, encoding='utf-8')
    assert load_mapping(file) == mapping
    measured('aura replay --guess: names with escape sequences and line ends are escaped, and load again unchanged')


def test_ages_and_the_middle_of_the_rotation_are_kept(tmp_path: Path) -> None:
    text = 'cameras: {a: /a}\njoints: /j\njoint_max_age_s: {finger: 0.5}\nrotation_middle: [3.1, 0, 0]\n'
    found = load(tmp_path, text)
    assert found.sources.max_age_s == {'finger': 0.5} and found.rotation_middle == (3.1, 0.0, 0.0)
    assert load(tmp_path, as_yaml(found)) == found
    for line, word in (
        ('joint_max_age_s: {finger: 0}', "key 'finger': 0 .*0.001..60"),
        ('joint_max_age_s: [1]', 'JOINT: SECONDS'),
        ('rotation_middle: [1, 2]', 'three finite numbers'),
        ('rotation_middle: [.nan, 0, 0]', 'three finite numbers'),
    ):
        with pytest.raises(ConfigError, match=rf'mapping.yaml:3: .*{word}'):
            load(tmp_path, f'cameras: {{a: /a}}\njoints: /j\n{line}\n')


def test_maps_are_those_of_the_robot_file(tmp_path: Path) -> None:
    text = 'cameras: {a: /a}\njoints: /j\nmaps: {finger: {policy: [0, 1], robot: [0.04, 0.0]}}\n'
    found = load(tmp_path, text)
    assert found.sources == JointSources(maps={'finger': JointMap('finger', (0.0, 1.0), (0.04, 0.0))})
    assert load(tmp_path, as_yaml(found)) == found
    for value, word in (('[3]', 'lines of the form'), ('{finger: {policy: [0, 1]}}', 'map_finger.robot')):
        with pytest.raises(ConfigError, match=rf"mapping.yaml:3: key 'maps': .*{word}"):
            load(tmp_path, f'cameras: {{a: /a}}\njoints: /j\nmaps: {value}\n')
