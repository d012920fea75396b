# SPDX-License-Identifier: Apache-2.0
"""The way from demonstrations to weights, in the smallest size that runs through every stage."""

import json
import os
from dataclasses import replace

import numpy as np
import pytest
from close import assert_close

mujoco = pytest.importorskip('mujoco')
torch = pytest.importorskip('torch')
torch.set_num_threads(1)

from aura_ros.common.action_spec import ActionComponent, ActionSpec  # noqa: E402
from aura_ros.common.errors import ConfigError  # noqa: E402
from aura_ros.common.files import replace_arrays  # noqa: E402
from aura_ros.common.names import PANEL_TASKS, TASKS, TRAINED_MEMORIES, EventKind  # noqa: E402
from aura_ros.memory import load_memory, load_weights  # noqa: E402
from aura_ros.sim.expert import Expert  # noqa: E402
from aura_ros.sim.tasks import Simulation  # noqa: E402
from aura_ros.sim.world import World  # noqa: E402
from aura_ros.train.demonstrations import CHUNK, Collection, collect_episode  # noqa: E402
from aura_ros.train.drivers import Faults  # noqa: E402
from aura_ros.train.episodes import load_frames  # noqa: E402
from aura_ros.train.initial import set_scales, share_keys  # noqa: E402
from aura_ros.train.learner import GateTraining, Learner, Optimisation  # noqa: E402
from aura_ros.train.matching import build_module  # noqa: E402
from aura_ros.train.memory import _kept_share, train_memory  # noqa: E402
from aura_ros.train.memory_settings import SETTINGS, MemoryTraining  # noqa: E402
from aura_ros.train.modules import AuraModule, ContentAddressedModule, Sizes  # noqa: E402
from aura_ros.train.saving import load_module, save_memory  # noqa: E402
from aura_ros.train.sequences import Stream, _is_kept, collate, segments, shown_since, thin  # noqa: E402
from aura_ros.train.state_pool import StatePool  # noqa: E402
from aura_ros.train.teacher import Teacher, teacher_of  # noqa: E402
from aura_ros.train.vla import VlaTraining, action_loss, train_vla  # noqa: E402
from aura_ros.train.vla_model import EmbeddedVla as VlaModel  # noqa: E402
from aura_ros.vla.embedded import EmbeddedVla  # noqa: E402


@pytest.fixture(scope='module')
def work_dir(tmp_path_factory):
    """One short episode of every task and split that training reads."""
    folder = tmp_path_factory.mktemp('train')
    with World() as world:
        for split in ('train', 'validation'):
            for task in TASKS:
                collection = Collection(task, split, 1, 1, 4)
                path = folder / 'demonstrations' / collection.folder
                path.mkdir(parents=True)
                np.savez(path / '00000.npz', **collect_episode(collection, 0, world))
    return folder


def test_a_label_is_what_the_expert_would_do_and_leaves_the_world_alone():
    with World() as world:
        simulation = Simulation('visible', 'train', 0, 1, world)
        expert = Expert(simulation)
        while simulation.goal is None:
            simulation.step(expert.act())
        before = world.save()
        preview = expert.preview(CHUNK)
        np.testing.assert_array_equal(world.save(), before)
        done = []
        for _ in range(CHUNK):
            done.append(expert.act())
            simulation.step(done[-1])
        np.testing.assert_allclose(preview, done, atol=1e-9)


@pytest.mark.parametrize(('rate', 'end'), [(0.0, EventKind.ROUND_SUCCESS), (1.0, EventKind.ROUND_FAILURE)])
def test_the_expert_of_a_sequence_loses_rounds_by_mistakes(rate, end):
    with World() as world:
        frames = collect_episode(Collection('sequence', 'train', 1, 2, 4, faults=Faults(mistake_rate=rate)), 0, world)
    ends = (EventKind.ROUND_SUCCESS, EventKind.ROUND_FAILURE)
    assert set(frames['event'][np.isin(frames['event'], ends)]) == {end}


def test_a_right_touch_of_a_sequence_shows_in_one_frame():
    with World() as world:
        frames = collect_episode(Collection('sequence', 'train', 1, 2, 4), 0, world)
    touched = np.flatnonzero(frames['event'] == EventKind.PART)
    assert len(touched) >= 2 and not frames['go'][touched].any() and frames['go'][touched + 1].all()


def test_a_preview_changes_nothing_and_spares_the_same_steps(monkeypatch):
    with World() as first, World() as second:
        previewed, plain = (Simulation('visible', 'train', 3, 1, world) for world in (first, second))
        experts = Expert(previewed), Expert(plain)
        counted = []
        step = mujoco.mj_step
        monkeypatch.setattr(mujoco, 'mj_step', lambda *given: (counted.append(given[1] is first.data), step(*given)))
        for tick in range(60):
            if tick % 4 == 0:
                experts[0].preview(CHUNK)
            if tick == 40:
                first.place('red', 0.5, 0.1)
                second.place('red', 0.5, 0.1)
            disturbed = 0.02 * (20 <= tick < 25)
            previewed.step(experts[0].act() + disturbed)
            plain.step(experts[1].act() + disturbed)
            np.testing.assert_array_equal(first.save(), second.save())
    assert 60 < counted.count(True) < 110, 'without the kept steps it is 60 + 15 * 8'


def test_from_demonstrations_to_weights_that_load(work_dir, tmp_path):
    train_vla(work_dir, tmp_path / 'embedded.onnx', VlaTraining(epochs=1, policy_epochs=1, batch=8), 'test')
    vla = EmbeddedVla(str(tmp_path / 'embedded.onnx'))
    weights = (tmp_path / 'embedded.onnx').read_bytes()
    for kind, addressing in (('kv', 'dense'), ('aura', 'dense'), ('aura', 'content')):
        output = tmp_path / f'{kind}.safetensors'
        settings = MemoryTraining(batch=2, rounds=1, addressing=addressing, optimisation=Optimisation(steps=8))
        settings = replace(settings, taught=kind == 'aura')
        report = train_memory(kind, work_dir, vla, output, settings, 'test')
        assert set(report) == set(PANEL_TASKS)
        memory = load_memory(kind, str(output))
        assert memory.backbone_hash == vla.spec.backbone_hash
        assert np.isfinite(
            memory.step(np.zeros(vla.spec.feature_dim, np.float32), np.zeros((8, 8), np.float32)).action
        ).all()
    assert (tmp_path / 'embedded.onnx').read_bytes() == weights, 'training a memory must not touch the VLA'
    card = json.loads((tmp_path / 'aura.json').read_text())
    assert card['training']['settings']['optimisation']['steps'] == 8 and card['training']['settings']['taught']
    train_memory('aura', work_dir, vla, tmp_path / 'again.safetensors', settings, 'test')
    assert (tmp_path / 'again.safetensors').read_bytes() == (tmp_path / 'aura.safetensors').read_bytes()
    train_memory('aura', work_dir, vla, output := tmp_path / 'again.safetensors', settings, 'more', output)
    assert output.read_bytes() != (tmp_path / 'aura.safetensors').read_bytes()
    training = json.loads(output.with_suffix('.json').read_text())['training']
    assert (training['command'], training['before']['command']) == ('more', 'test')
    assert 'fire_rate' in card['validation']['recall']
    assert np.isfinite([figures['action_error'] for figures in card['validation'].values()]).all()


def test_evaluation_seeds_are_refused():
    with pytest.raises(ConfigError, match='never trained on'):
        Collection('recall', 'evaluation', 1, 1, 4)


def test_missing_demonstrations_are_named(tmp_path):
    with pytest.raises(ConfigError, match='train-visible'):
        train_vla(tmp_path, tmp_path / 'x.onnx', VlaTraining(), 'test')


COLUMNS = ('z', 'base', 'expert', 'event', 'round', 'go')


def stream(events, go):
    """A stream of one-number features: its own step index."""
    count = len(events)
    return Stream(
        'recall',
        np.arange(count, dtype=np.float32)[:, None],
        np.zeros((count, 1, 1), np.float32),
        np.zeros((count, 1, 1), np.float32),
        np.array(events),
        np.arange(count) // 5,
        np.array(go),
    )


def test_thinning_keeps_cues_and_go_phases():
    events, go = [0, -1, -1, -1, -1, 1, -1, -1, -1, -1], [False] * 3 + [True] * 2 + [False] * 5
    part = segments([stream(events, go)], 2)[0]
    assert thin(part, 0.0, np.random.default_rng(0))[1].tolist() == [0, 1, 2, 3, 4, 5, 6, 7]
    assert thin(part, 1.0, np.random.default_rng(0))[1].tolist() == list(range(10))


def test_only_what_is_shown_in_a_segment_is_asked_of_it():
    rounds, lamps = np.arange(12) // 4, np.zeros((12, 3, 4), np.float32)
    lamps[..., 0] = 1
    lamps[1, 0] = lamps[5, 2] = 0, 1, 0, 0
    text = 'touch the block that has the colour the {} lamp last showed'
    texts = np.array(['watch'] * 4 + ['watch'] * 3 + [text.format('left')] + ['watch'] * 3 + [text.format('right')])
    since = shown_since(rounds, lamps, texts)
    assert since.tolist() == [0, 0, 0, 0, 4, 4, 4, 1, 8, 8, 8, 5]
    whole = replace(stream([-1] * 12, [False, False, False, True] * 3), round=rounds, since=since)
    last, both = segments([whole], 1)[2], segments([whole], 2)[1]
    batch = collate([both, last], idle_weight=0.5)
    assert batch.weight[0].tolist() == [0.5, 0.5, 0.5, 0, 0.5, 0.5, 0.5, 1], 'left was shown in round 0'
    assert batch.weight[1, :4].tolist() == [0.5, 0.5, 0.5, 0], 'right was shown in round 1'


def test_the_actions_of_memory_tasks_teach_the_backbone_nothing(work_dir):
    root = work_dir / 'demonstrations'
    visible, recall = ([root / f'train-{task}' / '00000.npz'] for task in ('visible', 'recall'))
    frames = load_frames(visible, recall, every=2)
    assert frames.scene.shape[1] == 25 + 12 and 0 < int(frames.acts.sum()) < len(frames)
    model = VlaModel()
    index = torch.cat([frames.acts.nonzero()[:2, 0], (~frames.acts).nonzero()[:2, 0]])
    batch = frames.batch(index)
    _, chunk, _ = model(batch['front'], batch['wrist'], batch['joints'], batch['text'])
    chunk.retain_grad()
    action_loss(model, chunk, batch['actions'], batch['acts']).backward()
    assert chunk.grad[:2].abs().sum((1, 2)).min() > 0
    assert not chunk.grad[2:].any()


def test_padding_has_no_weight():
    first, second = segments([stream([-1] * 10, [False] * 4 + [True] + [False] * 5)], 1)
    batch = collate([first, (second[0], second[1][:2])], idle_weight=0.25)
    assert batch.weight.tolist() == [[0.25] * 4 + [1.0], [0.25, 0.25, 0, 0, 0]]
    assert batch.z[1, :, 0].tolist() == [5, 6, 6, 6, 6]
    judged = collate([first, (second[0], second[1][:2])], idle_weight=0.0)
    assert judged.weight.tolist() == [[0, 0, 0, 0, 1.0], [0, 0, 0, 0, 0]]


def pool_of(used, **states):
    """A pool with one state of each of these tasks: a batch of one, full of a number."""
    pool = StatePool(used, np.random.default_rng(0), mixed=states.pop('mixed', 0.0))
    for task, value in states.items():
        pool.add([task], torch.full((1, 2, 3), float(value)))
    return pool


def test_sequences_begin_from_states_that_others_of_the_task_ended_with():
    pool = StatePool(0.5, np.random.default_rng(0))
    assert pool.draw(['recall'] * 3, torch.zeros_like) is None, 'none has ended yet'
    pool.add(['recall'] * 4, torch.arange(1.0, 5.0)[:, None, None].expand(4, 2, 3))
    pool.add(['visible'], torch.full((1, 2, 3), 7.0))
    drawn = pool.draw(['recall'] * 400, torch.zeros_like)
    assert drawn.shape == (400, 2, 3)
    kinds, counts = drawn[:, 0, 0].unique(return_counts=True)
    assert kinds.tolist() == [0, 1, 2, 3, 4]
    assert 160 < counts[0] < 240, 'half of them begin empty'
    assert pool.draw(['visible'] * 20, torch.zeros_like).unique().tolist() == [0, 7]
    assert pool.draw(['put_back'] * 20, torch.zeros_like) is None, 'nothing is known of this task'
    for _ in range(StatePool.SIZE):
        pool.add(['recall'], torch.full((1, 2, 3), 9.0))
    assert pool.draw(['recall'] * 50, torch.zeros_like).unique().tolist() == [0, 9], 'only the newest states are kept'


def test_a_mixed_pool_gives_states_of_any_task():
    pool = pool_of(1.0, mixed=0.5, recall=1, put_back=2)
    kinds, counts = pool.draw(['recall'] * 400, torch.zeros_like)[:, 0, 0].unique(return_counts=True)
    assert kinds.tolist() == [1, 2] and 70 < counts[1] < 130, 'half of half are of the other task'


DELTAS = ActionSpec(
    (
        ActionComponent('move', 1, 'base', 'velocity', unit='m/s'),
        ActionComponent('grip', 1, 'gripper', 'absolute', range=(-1.0, 1.0), binary=True),
    ),
    chunk_size=2,
    n_action_steps=2,
    seconds_per_action=0.1,
)


def test_the_card_has_the_action_spec_and_other_actions_are_refused(tmp_path):
    sizes = Sizes(feature_dim=6, chunk_size=2, action_dim=2, actions=DELTAS)
    path = tmp_path / 'own.safetensors'
    save_memory(AuraModule(sizes), path, {'backbone_sha256': 'ab'})
    assert load_weights('aura', str(path)).action_spec == DELTAS
    assert load_memory('aura', str(path)).components == DELTAS.components
    load_module(AuraModule(sizes), path, 'ab')
    slower = replace(sizes, actions=replace(DELTAS, seconds_per_action=0.2))
    with pytest.raises(ConfigError, match=r'seconds_per_action 0\.1.*seconds_per_action 0\.2'):
        load_module(AuraModule(slower), path, 'ab')
    with pytest.raises(ConfigError, match=r'differ in components.*velocity base.*absolute joint'):
        load_module(AuraModule(replace(sizes, actions=ActionSpec.absolute_joints(2, 2, 2, 0.1))), path, 'ab')


def test_a_card_without_a_spec_is_for_absolute_joints(tmp_path):
    path, sizes = tmp_path / 'own.safetensors', Sizes(feature_dim=6, chunk_size=2, action_dim=2)
    save_memory(AuraModule(sizes), path, {'backbone_sha256': 'ab'})
    assert load_memory('aura', str(path)).components == ()
    load_module(AuraModule(replace(sizes, actions=ActionSpec.absolute_joints(2, 2, 1, 0.05))), path, 'ab')
    with pytest.raises(ConfigError, match='differ in components'):
        load_module(AuraModule(replace(sizes, actions=DELTAS)), path, 'ab')


def test_a_spec_that_does_not_fit_its_arrays_is_refused(tmp_path):
    path = tmp_path / 'own.safetensors'
    save_memory(AuraModule(Sizes(feature_dim=6, chunk_size=2, action_dim=2, actions=DELTAS)), path, {})
    card = json.loads(path.with_suffix('.json').read_text())
    card['action_spec']['components'].pop()
    path.with_suffix('.json').write_text(json.dumps(card))
    with pytest.raises(ConfigError, match='action_spec of the card has chunks of 2 x 1: must be 2 x 2'):
        load_memory('aura', str(path))


def test_the_scale_of_a_motion_is_that_of_the_demonstrated_motion():
    """The base motion is no offset of a motion: a motion is scaled from rest, a target from the base's first action."""
    module = AuraModule(Sizes(feature_dim=6, chunk_size=2, action_dim=2, actions=DELTAS))
    rng = np.random.default_rng(0)
    expert = np.stack([rng.normal(0.0, 0.3, (500, 2)), np.ones((500, 2))], -1).astype(np.float32)
    base, z = np.full((500, 2, 2), 9.0, np.float32), rng.normal(size=(500, 6)).astype(np.float32)
    flags = np.zeros(500, np.int64)
    set_scales(module, [Stream('recorded', z, base, expert, flags, flags, flags > 0)])
    assert module.action_scale.tolist() == pytest.approx([0.3, 1.0], rel=0.1), 'half of the range for the gripper'


@pytest.mark.parametrize('kind', TRAINED_MEMORIES)
def test_a_sequence_from_the_pool_goes_on_where_another_ended(kind):
    torch.manual_seed(0)
    module = build_module(kind, Sizes(feature_dim=6, chunk_size=2, action_dim=2)).eval()
    pool, (z, base) = StatePool(1.0, np.random.default_rng(0)), (torch.randn(2, 40, 6), torch.randn(2, 40, 2, 2))
    with torch.no_grad():
        whole = module(z, base)
        for row, length in ((0, 10), (1, 25)):  # the states of two batches, at different steps
            pool.add(
                ['recall', 'visible'][row : row + 1], module(z[row : row + 1, :length], base[:1, :length]).scan.state
            )
        state = pool.draw(['recall', 'put_back', 'visible'], module.emptied)
        following = torch.stack([z[0, 10:25], z[0, :15], z[1, 25:]])
        scan = module(following, base[:1, :15].expand(3, -1, -1, -1), state).scan
    assert_close(scan.readout[0], whole.scan.readout[0, 10:25], 1e-4)
    assert_close(scan.readout[1], whole.scan.readout[0, :15], 1e-4)
    assert_close(scan.readout[2], whole.scan.readout[1, 25:], 1e-4)


def test_waits_of_all_lengths_occur():
    rng = np.random.default_rng(0)
    drawn = [_kept_share(SETTINGS['gru'], rng) for _ in range(200)]
    assert min(drawn) < 0.45 and max(drawn) > 0.95 and min(drawn) >= 0.4
    assert {_kept_share(SETTINGS['aura'], rng) for _ in range(5)} == {0.4}


@pytest.mark.parametrize(('spread', 'rows'), [(0.3, 1), (3.0, 8)])
def test_with_a_small_spread_all_things_share_a_row_at_first(spread, rows):
    torch.manual_seed(0)
    module = ContentAddressedModule(Sizes(feature_dim=40, chunk_size=1, action_dim=2))
    z = torch.randn(4, 30, 40)
    share_keys(module, z.flatten(0, 1), spread)
    scan = module.train()(z, torch.zeros(4, 30, 1, 2), schedule=torch.ones(4, 30)).scan
    used = (scan.state[..., -1] > 0).sum(-1)
    assert (used.max() == 1) if rows == 1 else (used.min() >= rows)
    torch.testing.assert_close(module.query.weight, module.key.weight)


def test_a_teacher_decides_the_writes_until_the_gate_does():
    torch.manual_seed(0)
    module = AuraModule(Sizes(feature_dim=6, chunk_size=2, action_dim=2))
    z, base, windows = torch.randn(3, 5, 6), torch.randn(3, 5, 2, 2), torch.zeros(3, 5, dtype=torch.long)
    windows[:, 1] = 1
    teacher = teacher_of(windows, 0.0)
    learner = Learner(module, Optimisation(steps=4), GateTraining(open_until=0.5))
    shares = [
        learner.step(z, base, lambda actions: actions.square().mean((-1, -2)), 15.0, teacher=teacher)[1]
        for _ in range(4)
    ]
    assert shares[:2] == pytest.approx([0.2, 0.2]) and min(shares[2:]) > 0.5, 'one step in five, then an open gate'


def every(changes):
    """Return a teacher of changes that show for one step each."""
    return Teacher(torch.arange(1, 1 + changes.shape[1]) * changes, changes.float())


def test_a_gate_is_taught_while_it_decides():
    torch.manual_seed(0)
    module = ContentAddressedModule(Sizes(feature_dim=6, chunk_size=1, action_dim=2)).train()
    gate = GateTraining(price=0.0, open_until=0.0, flips=1)
    learner = Learner(module, Optimisation(steps=150, learning_rate=1e-2), gate)
    for _ in range(120):
        z, base = torch.randn(8, 20, 6), torch.zeros(8, 20, 1, 2)
        teacher = every(z[..., 0] > 1)
        learner.step(z, base, lambda actions: 0 * actions.square().mean((-1, -2)), 160.0, teacher=teacher)
    with torch.no_grad():
        written = module(z, base).scan.written
    assert (written != teacher.writes).float().mean() < 0.3 * teacher.writes.mean(), 'no write gains anything'


def test_a_gate_learns_the_decisions_of_its_teacher():
    torch.manual_seed(0)
    module = ContentAddressedModule(Sizes(feature_dim=6, chunk_size=1, action_dim=2)).train()
    learner = Learner(module, Optimisation(steps=200, learning_rate=1e-2), GateTraining(open_until=1.0))
    for _ in range(150):
        z, base = torch.randn(8, 20, 6), torch.zeros(8, 20, 1, 2)
        teacher = every(z[..., 0] > 1)
        learner.step(z, base, lambda actions: actions.square().mean((-1, -2)), 160.0, teacher=teacher)
    with torch.no_grad():
        written = module(z, base).scan.written
    wrong = (written != teacher.writes).to(z.dtype).mean()
    assert wrong < 0.3 * teacher.writes.mean(), 'a gate that never opens is wrong at each write of the teacher'


def test_features_of_an_older_recording_are_not_taken(tmp_path):
    kept, episode = tmp_path / 'kept.npz', tmp_path / 'episode.npz'
    for path in (kept, episode):
        replace_arrays(path, dict.fromkeys(('since', 'cue'), np.zeros(3, np.int64)))
    os.utime(kept, (2000, 2000))
    for age, expected in ((1000, True), (3000, False)):
        os.utime(episode, (age, age))
        assert _is_kept(kept, episode, 'put_back') == expected


def test_a_sequence_shows_no_change_after_its_end():
    one = stream([EventKind.PART, -1, -1, EventKind.PART], [False] * 4)
    one = replace(one, task='sequence')
    longer = replace(one, **{name: getattr(one, name)[[0, 1, 2, 3, 3]] for name in COLUMNS})
    batch = collate([(one, np.arange(3)), (longer, np.arange(5))], 0.25)
    assert (batch.windows > 0).tolist() == [[True, *[False] * 4], [True, False, False, True, True]]


@pytest.mark.parametrize(('price', 'sign'), [(1e3, 1), (-1e3, -1)])
def test_the_price_of_a_write_moves_the_gate_and_nothing_else(price, sign):
    torch.manual_seed(0)
    module = AuraModule(Sizes(feature_dim=6, chunk_size=2, action_dim=2))
    rollout = module(torch.randn(3, 5, 6), torch.randn(3, 5, 2, 2), probe=0.5)
    rollout.actions.square().mean().backward()
    module.zero_grad()
    module.gate_loss(rollout, price, weight=15).backward()
    assert sign * module.gate.output.bias.grad.item() > 0, 'descent must shut a gate whose writes cost too much'
    moved = {
        name for name, parameter in module.named_parameters() if parameter.grad is not None and parameter.grad.any()
    }
    assert {name.split('.')[0] for name in moved} == {'gate'}
