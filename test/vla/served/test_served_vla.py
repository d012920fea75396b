# SPDX-License-Identifier: Apache-2.0
"""The path of a user with a VLA: serve it, drive the simulated arm, record, train memories, drive with them, replay.

The embedded model goes this way in every run of the tests. A small OpenVLA-OFT with end-effector deltas and a small
SmolVLA with joints in degrees do in `./run test --vla`, each served from its own environment. Weights are random.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip('mujoco')
pytest.importorskip('mink')
pytest.importorskip('rosbags')
pytest.importorskip('torch')
pytest.importorskip('msgpack')
pytest.importorskip('websockets')

from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import SetParameters
from ros_graph import ROOT, Graph, free_domain
from served_vla import Arm, Family, Served, report, run, samples, served, stamp_ns

from aura_ros.common.action_codes import components_of
from aura_ros.common.names import POLICIES
from aura_ros.control.actions import ActionMapper
from aura_ros.control.chunk import Chunk
from aura_ros.control.kinematics import kinematics_of
from aura_ros.control.limits import ActionLimiter
from aura_ros.control.motion import Moment
from aura_ros.control.robot_file import read_robot_file
from aura_ros.memory import MemorySession, Step, load_memory, state_crc
from aura_ros.memory.weights import load_weights
from aura_ros.recordings.bags import Bag
from aura_ros.replay.steps.features import BackboneSteps
from aura_ros.replay.steps.guess import guess
from aura_ros.vla import close_backbone, load_backbone

pytestmark = [pytest.mark.graph, pytest.mark.render, pytest.mark.timeout(900)]
FAMILIES = (
    Family('embedded', 'sim_arm.yaml', n_action_steps=4, in_environment=False),
    Family('openvla_oft', 'sim_arm_libero.yaml', n_action_steps=8),
    Family('lerobot', '', n_action_steps=4),
)
PERIOD_S = 0.05
MEMORIES = {'aura': 'memory_node', 'kv': 'kv_baseline_node'}
TOPICS = ('/vla_step', '/aura/action_chunk', '/kv/action_chunk', '/aura/gate', '/aura/write_event', '/joint_command')


def _families() -> list[Any]:
    return [
        pytest.param(family, id=family.name, marks=[pytest.mark.slow] if family.in_environment else [])
        for family in FAMILIES
    ]


@pytest.fixture(scope='module', params=_families())
def vla(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A small model of a family behind `aura serve`."""
    family: Family = request.param
    if not Path(family.python).exists():
        pytest.skip(f'./run vla_env {family.name} was not run')
    with served(family, tmp_path_factory.mktemp(family.name)) as found:
        yield found


@contextmanager
def running(vla: Served, **arguments: str) -> Iterator[Arm]:
    """Run the graph of the simulated arm in a domain of its own."""
    with free_domain() as number, closing(Graph(number, vla.folder)) as live, Arm(live, vla, **arguments) as arm:
        yield arm


@pytest.fixture(scope='module')
def trained(vla: Served) -> Path:
    """The folder of memories that were trained on a recording of `base` by the documented commands."""
    with running(vla, policy='base', record='monday') as arm:
        arm.begin()
        arm.steps(30, ['base'])  # the memories of the package refuse the steps of another VLA
        arm.finish()
    assert 'steps of 1 episodes' in run(vla.folder, 'features', 'monday', *vla.arguments)
    small = ['--memory', 'both', '--steps', '40', '--round-steps', '5']
    run(vla.folder, 'train', 'memory', '--from-bags', 'monday', *vla.arguments, *small)
    return vla.folder / 'my_weights'


@dataclass(frozen=True)
class Driven:
    """A recording of all policies, one after the other."""

    path: Path
    begins: tuple[tuple[int, str], ...]
    """First step of each policy that drove."""
    messages: Any
    """Recorded messages by topic."""

    def policy_at(self, seq: int) -> str:
        """Return the policy that drives at a step."""
        return [policy for begin, policy in self.begins if begin <= seq][-1]


@pytest.fixture(scope='module')
def driven(vla: Served, trained: Path) -> Driven:
    """A live run in lock-step in which `select_policy` changes the policy while the arm moves."""
    weights = {f'{policy}_weights': str(trained / f'{policy}.safetensors') for policy in MEMORIES}
    lockstep = {'lockstep': 'true', 'camera_every': str(vla.family.n_action_steps)}
    with running(vla, policy='base', record='tuesday', **weights, **lockstep) as arm:
        arm.begin()
        begins = [(0, 'base')]
        for policy in ('aura', 'kv', 'base'):
            arm.steps(8)
            begins.append((arm.select(policy), policy))
            arm.driven_by(policy)
        arm.steps(8)
        assert not arm.statuses[-1].rejected and not arm.statuses[-1].holds, arm.log
        arm.finish()
    return Driven(vla.folder / 'tuesday', tuple(begins), samples(vla.folder / 'tuesday', TOPICS))


def within_limits(vla: Served, commands: list[np.ndarray]) -> None:
    """Check that commands keep the limits of the robot file."""
    robot, found = read_robot_file(vla.robot_file).robot, np.array(commands)
    assert (found >= np.array(robot.position_lower) - 1e-9).all() and (
        found <= np.array(robot.position_upper) + 1e-9
    ).all()
    largest = np.minimum(robot.step_max, np.array(robot.velocity_max) * PERIOD_S)
    assert (np.abs(np.diff(found, axis=0)) <= largest + 1e-9).all()


def test_a_dry_run_commands_nothing_and_control_can_be_enabled(vla: Served, graph: Graph) -> None:
    with Arm(graph, vla, policy='base', enable_control='false') as arm:
        arm.begin()
        arm.steps(4, ['base'])
        assert not arm.commands and not arm.statuses[-1].control_enabled
        value = ParameterValue(type=ParameterType.PARAMETER_BOOL, bool_value=True)
        request = SetParameters.Request(parameters=[Parameter(name='enable_control', value=value)])
        response = graph.call(SetParameters, 'policy_switch_node/set_parameters', request)
        assert response.results[0].successful, response

        def positions() -> np.ndarray:
            return np.array([command.points[0].positions for command in arm.commands])

        arm.until(lambda: len(arm.commands) > 20 and np.ptp(positions(), axis=0).max() > 1e-3, 'a moving arm')
        arm.finish()
    within_limits(vla, list(positions()))


def test_the_features_of_the_recording_train_memories_for_this_backbone(vla: Served, trained: Path) -> None:
    backbone = load_backbone('remote', vla.address)
    try:
        for kind in ('aura', 'kv', 'memoryless'):
            weights = load_weights(kind, str(trained / f'{kind}.safetensors'))
            assert weights.backbone_hash == backbone.spec.backbone_hash
            assert load_memory(kind, str(trained / f'{kind}.safetensors')).chunk_shape == (
                backbone.spec.chunk_size,
                backbone.spec.action_dim,
            )
    finally:
        close_backbone(backbone)


def chunks_of(driven: Driven, policy: str) -> dict[int, Chunk]:
    """Return the recorded chunks of a policy by step."""
    found = {}
    for message in driven.messages['/vla_step' if policy == 'base' else f'/{policy}/action_chunk']:
        values = message.base_action if policy == 'base' else message.actions
        found[int(message.seq)] = Chunk(
            POLICIES.index(policy),
            message.episode_id,
            int(message.seq),
            stamp_ns(message),
            np.asarray(values, np.float32),
            message.chunk_size,
            message.action_dim,
            message.seconds_per_action,
            components=components_of(message, message.action_dim),
        )
    return found


def test_each_command_is_that_of_the_selected_policy(vla: Served, driven: Driven) -> None:
    robot = read_robot_file(vla.robot_file).robot
    mapper, limiter = ActionMapper(robot, kinematics_of(robot)), ActionLimiter(robot)
    chunks = {policy: chunks_of(driven, policy) for policy in POLICIES}
    begin_ns = {seq: chunk.stamp_ns for seq, chunk in chunks['base'].items()}
    commands = [(stamp_ns(one), np.array(one.points[0].positions)) for one in driven.messages['/joint_command']]
    within_limits(vla, [values for _, values in commands])
    checked = dict.fromkeys(POLICIES, 0)
    for (_, last), (at_ns, command) in pairwise(commands):
        seq = max((seq for seq, ns in begin_ns.items() if ns <= at_ns), default=0)
        if seq in (0, max(begin_ns)):  # whether the first tick has its chunk depends on timing, and so does the end
            continue
        policy = driven.policy_at(seq)
        chunk = chunks[policy][seq]
        index = round((at_ns - chunk.stamp_ns) / (chunk.seconds_per_action * 1e9))
        moment = Moment(last, PERIOD_S, chunk.seconds_per_action)
        wanted = limiter.apply(mapper.target(chunk, index, moment), last, round(PERIOD_S * 1e9))
        np.testing.assert_allclose(command, wanted, atol=1e-4, err_msg=f'{policy} at step {chunk.seq}, action {index}')
        checked[policy] += 1
    assert min(checked.values()) >= 8 * vla.family.n_action_steps, checked
    for policy in MEMORIES:
        own = [seq for seq in begin_ns if driven.policy_at(seq) == policy and seq in chunks[policy]]
        apart = [np.abs(chunks[policy][seq].actions - chunks['base'][seq].actions).max() for seq in own]
        assert max(apart) > 0.01, f'{policy} has actions of its own'


def test_the_recording_replays_bit_for_bit(vla: Served, trained: Path, driven: Driven) -> None:
    steps = driven.messages['/vla_step']
    assert [int(step.seq) for step in steps] == list(range(len(steps)))
    for policy in MEMORIES:
        session = MemorySession(load_memory(policy, str(trained / f'{policy}.safetensors')))
        chunks = {int(chunk.seq): chunk for chunk in driven.messages[f'/{policy}/action_chunk']}
        gates = {int(gate.seq): gate for gate in driven.messages['/aura/gate']} if policy == 'aura' else {}
        events = {int(event.seq): event for event in driven.messages['/aura/write_event']} if policy == 'aura' else {}
        for step in steps[: len(chunks)]:
            seq, dims = int(step.seq), (step.chunk_size, step.action_dim)
            taken = Step(
                step.episode_id,
                seq,
                stamp_ns(step),
                np.asarray(step.features, np.float32),
                np.asarray(step.base_action, np.float32).reshape(dims),
                step.seconds_per_action,
                backbone_hash=step.backbone_hash,
                components=components_of(step, step.action_dim),
            )
            decision = session.apply(taken).decision
            np.testing.assert_array_equal(decision.action.ravel(), chunks[seq].actions, err_msg=f'{policy} {seq}')
            if seq in gates:
                assert (np.float32(decision.gate), decision.written) == (gates[seq].gate, gates[seq].written), seq
            if seq in events:
                assert events[seq].state_crc32 == state_crc(session.memory), seq
        assert len(gates) > len(steps) // 2 or policy != 'aura'


def test_the_recorded_observations_give_the_recorded_features_and_actions(vla: Served, driven: Driven) -> None:
    backbone = load_backbone('remote', vla.address)
    try:
        with Bag(driven.path) as bag:
            rows = list(BackboneSteps(bag, guess(bag, backbone.spec).mapping, backbone, '').rows([]))
    finally:
        close_backbone(backbone)
    live = {stamp_ns(step): step for step in driven.messages['/vla_step']}
    # The arm publishes one more image while the episode ends.
    rows = [row for row in rows if row.stamp_ns <= max(live)]
    assert len(rows) > len(live) // 2, 'a recorder on a busy machine may miss images'
    for row in rows:
        step = live[row.stamp_ns]
        np.testing.assert_array_equal(row.features, step.features)
        np.testing.assert_array_equal(row.base_action.ravel(), step.base_action)


def test_the_report_of_the_replay_agrees_with_the_live_run(vla: Served, trained: Path, driven: Driven) -> None:
    weights = [f'--weights={policy}={trained / policy}.safetensors' for policy in MEMORIES]
    run(vla.folder, 'replay', 'tuesday', *vla.arguments, *weights)
    (found,) = report(vla.folder)['recordings']
    events = len(driven.messages['/aura/write_event'])
    assert found['live'] == f'The replay reproduces all {events} write events of the live run bit for bit.'
    for policy in MEMORIES:
        assert (found['policies'][policy]['missed'], found['policies'][policy]['refused']) == (0, 0)
    assert found['steps'] == len(driven.messages['/vla_step'])


def test_the_played_recording_gives_the_same_through_the_nodes(vla: Served, trained: Path, driven: Driven) -> None:
    weights = [f'{policy}_weights:={trained / policy}.safetensors' for policy in MEMORIES]
    files = [f'backbone_file:={vla.backbone_file}', f'robot_file:={vla.robot_file}']
    with free_domain() as number:
        words = ['bag:=tuesday', 'lockstep:=true', 'record:=again', f'domain_id:={number}', *files, *weights]
        run(vla.folder, 'launch', str(ROOT / 'launch/replay.launch.yaml'), *words)
    again = samples(vla.folder / 'again', [f'/replay{topic}' for topic in TOPICS[:-1]])
    first = driven.messages['/vla_step'][0]
    last = driven.messages['/vla_step'][-1]
    pairs = (
        ('/vla_step', ('features', 'base_action')),
        ('/aura/gate', ('gate', 'surprise', 'written')),
        ('/aura/write_event', ('writes', 'state_crc32')),
        ('/aura/action_chunk', ('actions',)),
        ('/kv/action_chunk', ('actions',)),
    )
    for topic, fields in pairs:
        played = {stamp_ns(message): message for message in again[f'/replay{topic}']}
        live = {stamp_ns(message): message for message in driven.messages[topic]}
        assert len(played.keys() & live.keys()) > len(live) // 2, topic
        for at_ns in sorted(played.keys() & live.keys()):
            assert stamp_ns(first) <= at_ns <= stamp_ns(last)
            for field in fields:
                np.testing.assert_array_equal(
                    getattr(played[at_ns], field), getattr(live[at_ns], field), err_msg=f'{topic} {field} at {at_ns}'
                )
