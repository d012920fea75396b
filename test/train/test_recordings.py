# SPDX-License-Identifier: Apache-2.0
"""From recordings to weights that memory_node loads, in the smallest size that runs through every stage."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from close import assert_close

pytest.importorskip('rosbags')
torch = pytest.importorskip('torch')
torch.set_num_threads(1)

from aura_ros.common.errors import BagError, ConfigError  # noqa: E402
from aura_ros.memory import load_memory  # noqa: E402
from aura_ros.memory.weights import load_weights  # noqa: E402
from aura_ros.recordings.message_types import standard_types  # noqa: E402
from aura_ros.recordings.writer import Recording  # noqa: E402
from aura_ros.replay.steps.mapping import ActionStream, Mapping  # noqa: E402
from aura_ros.train import recordings  # noqa: E402
from aura_ros.train.evaluation import evaluate  # noqa: E402
from aura_ros.train.features import main as features_main  # noqa: E402
from aura_ros.train.main import main  # noqa: E402
from aura_ros.train.matching import build_module  # noqa: E402
from aura_ros.train.modules import Sizes  # noqa: E402
from aura_ros.train.recordings import keep_features, read_about, rounds_within, split  # noqa: E402
from aura_ros.train.sequences import Stream  # noqa: E402
from aura_ros.vla import load_backbone  # noqa: E402

PERIOD_NS = 200_000_000
TICK_NS = 50_000_000
MAPPING = Mapping({}, (), (ActionStream('/joint_command'),), steps='/vla_step')
MAPPING_FILE = 'actions: /joint_command\nsteps: /vla_step\n'


def types():
    return standard_types('kilted')


def header(stamp_ns):
    time = types().types['builtin_interfaces/msg/Time'](sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9)
    return types().types['std_msgs/msg/Header'](stamp=time, frame_id='')


def vla_step(spec, seq, stamp_ns, features, base, episode):
    kind = types().types['aura_ros/msg/VlaStep']
    return kind(
        header=header(stamp_ns),
        episode_id=episode,
        backbone_hash=spec.backbone_hash,
        seq=seq,
        features=features,
        base_action=base.ravel(),
        chunk_size=base.shape[0],
        action_dim=base.shape[1],
        components=[],
        seconds_per_action=0.05,
        inference_ms=1.0,
    )


def command(spec, stamp_ns, values):
    point = types().types['trajectory_msgs/msg/JointTrajectoryPoint'](
        positions=values,
        velocities=np.zeros(0),
        accelerations=np.zeros(0),
        effort=np.zeros(0),
        time_from_start=types().types['builtin_interfaces/msg/Duration'](sec=0, nanosec=0),
    )
    kind = types().types['trajectory_msgs/msg/JointTrajectory']
    return kind(header=header(stamp_ns), joint_names=list(spec.joint_names), points=[point])


def recorded(path, steps=60, episodes=1, silent=(), names=('/vla_step', '/joint_command')):
    """A bag of recorded steps and 20 commands a second, 0.1 rad beside what the VLA wants; none in `silent` [steps]."""
    spec = load_backbone('embedded').spec
    random = np.random.default_rng(5)
    recording = Recording(path, 1 << 26)
    recording.topic('/vla_step', 'aura_ros/msg/VlaStep')
    recording.topic('/joint_command', 'trajectory_msgs/msg/JointTrajectory')
    log_ns = 0
    for step in range(steps + 3):
        stamp_ns = 10**9 + step * PERIOD_NS
        base = np.full((spec.chunk_size, spec.action_dim), 0.01 * (step % 10), np.float32)
        messages = (
            []
            if step >= steps
            else [
                (
                    '/vla_step',
                    'aura_ros/msg/VlaStep',
                    vla_step(
                        spec,
                        step % (steps // episodes),
                        stamp_ns,
                        random.standard_normal(spec.feature_dim).astype(np.float32),
                        base,
                        f'episode {step * episodes // steps}',
                    ),
                )
            ]
        )
        if step not in silent:
            for tick in range(4):
                target = command(spec, stamp_ns + tick * TICK_NS, np.float64(base[0] + 0.1))
                messages.append(('/joint_command', 'trajectory_msgs/msg/JointTrajectory', target))
        for topic, kind, message in messages:
            log_ns = max(log_ns + 1, stamp_ns)
            if topic in names:
                recording.put(topic, log_ns, bytes(types().serialize_cdr(message, kind)))
    assert recording.close(60.0)
    return path


def kept_columns(kept):
    with np.load(kept.file, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


@pytest.fixture(scope='module')
def backbone():
    return load_backbone('embedded')


def test_features_are_those_recorded_and_actions_those_commanded(tmp_path, backbone):
    kept = keep_features(recorded(tmp_path / 'bag'), tmp_path / 'features', backbone, MAPPING)
    columns = kept_columns(kept)
    assert columns['z'].shape == (60, backbone.spec.feature_dim) and columns['go'].all()
    assert_close(columns['expert'][:, 0, 0], columns['base'][:, 0, 0] + 0.1)
    # what is in force over a chunk of 8 ticks: 4 of this step, 4 of the next
    assert_close(columns['expert'][3, 4:, 0], columns['base'][4, 0, 0] + 0.1)
    assert kept.about['covered'] == kept.about['steps'] == 60
    assert kept.about['backbone_hash'] == backbone.spec.backbone_hash


def test_a_gap_in_the_commands_teaches_nothing(tmp_path, backbone):
    bag = recorded(tmp_path / 'bag', silent=range(20, 30))
    columns = kept_columns(keep_features(bag, tmp_path / 'features', backbone, MAPPING))
    assert not columns['go'][21:30].any() and columns['go'][:18].all() and columns['go'][31:].all()
    unknown = ~columns['go']
    np.testing.assert_array_equal(columns['expert'][unknown], columns['base'][unknown])


def test_features_are_computed_once_and_again_when_the_mapping_changes(tmp_path, backbone):
    bag = recorded(tmp_path / 'bag')
    first = keep_features(bag, tmp_path / 'features', backbone, MAPPING)
    written = first.file.stat().st_mtime_ns
    assert keep_features(bag, tmp_path / 'features', backbone, MAPPING).file.stat().st_mtime_ns == written
    longer = Mapping({}, (), (ActionStream('/joint_command', tolerance_s=0.5),), steps='/vla_step')
    assert keep_features(bag, tmp_path / 'features', backbone, longer).file != first.file


def test_features_are_computed_again_when_the_timing_of_the_backbone_changes(tmp_path, backbone):
    """The file of a model may change how many actions are executed, and so which steps there are; the hash stays."""
    path = recorded(tmp_path / 'bag')
    slower = SimpleNamespace(spec=replace(backbone.spec, n_action_steps=backbone.spec.n_action_steps + 1))
    files = {keep_features(path, tmp_path / 'features', vla, MAPPING).file for vla in (backbone, slower, backbone)}
    assert len(files) == 2


def test_the_end_of_each_episode_is_held_out(tmp_path, backbone):
    kept = keep_features(recorded(tmp_path / 'bag', 60, episodes=2), tmp_path / 'f', backbone, MAPPING)
    train, held = split([kept], 0.2, 10)
    assert [len(part['z']) for part in train] == [24, 24]
    # the memory sees the whole episode, and only its end is evaluated
    assert [(len(part['z']), part['context'], int(part['go'].sum())) for part in held] == [(30, 24, 6), (30, 24, 6)]
    z = kept_columns(kept)['z']
    np.testing.assert_array_equal(held[0]['z'], z[:30])
    assert held[0]['go'][24:].all() and train[0]['context'] == 0
    assert train[0]['round'].tolist() == [0] * 10 + [1] * 10 + [2] * 4
    assert rounds_within(train, 3) == 3 and rounds_within(train, 9) == 3 and rounds_within(held, 3) == 1


def test_only_the_steps_after_the_context_are_evaluated(tmp_path, backbone, monkeypatch):
    kept = keep_features(recorded(tmp_path / 'bag', 60, episodes=2), tmp_path / 'f', backbone, MAPPING)
    monkeypatch.setattr(recordings, 'CONTEXT', 9)
    streams = [Stream('recorded', **part) for part in split([kept], 0.2, 5)[1]]
    assert [(len(one.z), one.context) for one in streams] == [(15, 9), (15, 9)]
    figures = evaluate(build_module('kv', Sizes()), streams)['recorded']
    # a KV-cache writes at every step: 6 of each stream are evaluated, and they touch two rounds
    assert figures['writes_per_round'] == 12 / 4
    scaled = [np.abs(one.expert[9:] - one.base[9:]).mean() for one in streams]
    assert_close(figures['base_action_errors'], scaled)


@pytest.mark.parametrize(
    ('names', 'mapping', 'reason'),
    [
        (('/vla_step',), MAPPING, '/joint_command'),
        (('/vla_step', '/joint_command'), Mapping({}, steps='/vla_step'), 'has no actions'),
        (('/joint_command',), MAPPING, '/vla_step'),
    ],
)
def test_a_recording_without_training_data_is_refused(tmp_path, backbone, names, mapping, reason):
    bag = recorded(tmp_path / 'bag', names=names)
    with pytest.raises(BagError, match=reason):
        keep_features(bag, tmp_path / 'features', backbone, mapping)


def test_too_little_held_out_data_is_refused(tmp_path, backbone):
    bag = recorded(tmp_path / 'bag', silent=range(40, 63))
    kept = keep_features(bag, tmp_path / 'features', backbone, MAPPING)
    with pytest.raises(ConfigError, match='evaluate on'):
        split([kept], 0.2, 10)


def test_a_file_that_is_damaged_is_named(tmp_path):
    (tmp_path / 'x.npz').write_bytes(b'nothing')
    with pytest.raises(ConfigError, match=r'x\.npz holds no features'):
        read_about(tmp_path / 'x.npz')


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """The command line from two bags to weights; returns the folder."""
    folder = tmp_path_factory.mktemp('bags')
    (folder / 'mapping.yaml').write_text(MAPPING_FILE)
    bags = [str(recorded(folder / name, steps)) for name, steps in (('monday', 60), ('tuesday', 40))]
    words = ['--work-dir', str(folder / 'work'), '--mapping', str(folder / 'mapping.yaml')]
    assert features_main([*bags, *words]) == 0
    assert (
        main(
            [
                'memory',
                '--from-bags',
                *bags,
                *words,
                '--output',
                str(folder / 'mine'),
                '--steps',
                '8',
                '--round-steps',
                '10',
            ]
        )
        == 0
    )
    return folder


def test_from_recordings_to_weights_that_load(trained, backbone):
    memory = load_memory('aura', str(trained / 'mine/aura.safetensors'))
    assert memory.backbone_hash == backbone.spec.backbone_hash
    z = np.zeros(backbone.spec.feature_dim, np.float32)
    assert np.isfinite(memory.step(z, np.zeros((8, 8), np.float32)).action).all()
    card = json.loads((trained / 'mine/aura.json').read_text())
    assert [one['bag'] for one in card['training']['recordings']] == ['monday', 'tuesday']
    assert card['training']['recordings'][0]['covered'] == 60 and card['training']['round_steps'] == 10
    assert np.isfinite(card['validation']['recorded']['action_error'])
    assert card['validation']['recorded']['base_action_error'] > 0


def test_weights_are_replaced_only_on_request(trained, tmp_path, capsys):
    words = [
        'memory',
        '--from-bags',
        str(trained / 'monday'),
        '--work-dir',
        str(trained / 'work'),
        '--mapping',
        str(trained / 'mapping.yaml'),
        '--steps',
        '2',
        '--round-steps',
        '10',
        '--output',
        str(tmp_path),
    ]
    weights = tmp_path / 'aura.safetensors'
    weights.write_bytes(b'mine')
    assert main(words) == 2
    assert '--overwrite' in capsys.readouterr().err and weights.read_bytes() == b'mine'
    assert main([*words, '--overwrite']) == 0
    assert load_weights('aura', str(weights)).sha256
    said = capsys.readouterr().out
    assert 'action error on the held-out parts ' in said and ' writes per round' in said and '{' not in said


def test_training_goes_on_from_weights(trained, tmp_path, capsys):
    words = [
        '--work-dir',
        str(trained / 'work'),
        '--mapping',
        str(trained / 'mapping.yaml'),
        '--steps',
        '4',
        '--round-steps',
        '10',
        '--output',
        str(tmp_path),
    ]
    first = trained / 'mine/aura.safetensors'
    bags = [str(trained / 'monday')]
    assert main(['memory', '--from-bags', *bags, *words, '--start-from', str(first)]) == 0
    before, after = load_weights('aura', str(first)), load_weights('aura', str(tmp_path / 'aura.safetensors'))
    np.testing.assert_array_equal(before.arrays['feature_mean'], after.arrays['feature_mean'])
    assert before.sha256 != after.sha256
    training = json.loads((tmp_path / 'aura.json').read_text())['training']
    assert training['start_from'] == 'aura.safetensors'
    assert training['settings']['gate']['open_until'] == 0.0, 'its gate has learnt: it decides at once'
    assert main(['memory', '--from-bags', *bags, *words, '--memory', 'gru', '--start-from', str(first)]) == 2
    assert "is for 'aura'" in capsys.readouterr().err


def test_weights_go_on_with_their_own_addressing(trained, tmp_path, capsys):
    words = ['memory', '--from-bags', str(trained / 'monday'), '--mapping', str(trained / 'mapping.yaml')]
    words += ['--work-dir', str(trained / 'work'), '--steps', '2', '--round-steps', '10', '--memory', 'aura']
    first = tmp_path / 'first/aura.safetensors'
    assert main([*words, '--addressing', 'content', '--output', str(first.parent)]) == 0
    go_on = [*words, '--start-from', str(first), '--output', str(tmp_path / 'second')]
    assert main(go_on) == 0
    assert load_weights('aura', str(tmp_path / 'second/aura.safetensors')).addressing == 'content'
    capsys.readouterr()
    assert main([*go_on, '--overwrite', '--addressing', 'dense']) == 2
    assert f'--addressing is dense: {first} has content, leave the option out' in capsys.readouterr().err


def test_the_command_says_what_is_wrong(tmp_path, capsys):
    assert main(['memory', '--from-bags', str(tmp_path / 'none')]) == 1
    assert f'{tmp_path / "none"} does not exist' in capsys.readouterr().err
    assert main(['memory', '--from-bags', str(tmp_path / 'none'), '--holdout', '2']) == 2
    assert "--holdout: '2': must be a number from 0.01 to 0.9" in capsys.readouterr().err
    assert features_main([str(tmp_path / 'none')]) == 1


@pytest.mark.graph
def test_memory_node_takes_them(trained, tmp_path):
    pytest.importorskip('rclpy')
    from contextlib import closing

    from ros_graph import Graph, free_domain

    from aura_ros.nodes.memory.node import MemoryNode

    with free_domain() as number, closing(Graph(number, tmp_path)) as graph:
        node = graph.inside(MemoryNode, weights=str(trained / 'mine/aura.safetensors'), autostart=True)
        assert node.autostart()
        assert node.memory.backbone_hash == load_backbone('embedded').spec.backbone_hash
