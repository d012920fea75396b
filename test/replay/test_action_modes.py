# SPDX-License-Identifier: Apache-2.0
"""Recorded steps of deltas: they replay through a memory that is trained for them, and through no other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from recordings import recording
from replayed import CHUNK, SPEC, WEIGHTS

from aura_ros.common.action_codes import CODES, code
from aura_ros.common.action_spec import ActionComponent
from aura_ros.common.errors import ConfigError
from aura_ros.memory import MemorySession, Step, build_memory
from aura_ros.memory.weights import MemoryWeights
from aura_ros.recordings.bags import Bag
from aura_ros.replay.policies import PolicyOptions, make_policy
from aura_ros.replay.steps.arrays import Steps
from aura_ros.replay.steps.mapping import Mapping
from aura_ros.replay.steps.recorded import RecordedSteps

TOPIC, COUNT = '/vla_step', 6
DELTAS = (
    ActionComponent('translation', 3, 'ee_position', 'delta', unit='m'),
    ActionComponent('rotation', 3, 'ee_rotation', 'delta', rotation='axis_angle', unit='rad'),
    ActionComponent('gripper', 2, 'gripper', 'absolute', range=(-1.0, 1.0), binary=True, closes='high'),
)
MOVING = replace(SPEC, components=DELTAS)


@pytest.fixture(scope='module')
def bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('bag') / 'deltas'
    rng = np.random.default_rng(0)
    with recording(folder) as recorder:
        components = [
            recorder.make(
                'aura_ros/msg/ActionComponent',
                **{
                    **{field: code(field, getattr(component, field)) for field in CODES},
                    'name': component.name,
                    'dims': component.dims,
                    'unit': component.unit,
                    'range': np.array(component.range or (), np.float64),
                    'binary': component.binary,
                },
            )
            for component in DELTAS
        ]
        for seq in range(COUNT):
            step = recorder.make(
                'aura_ros/msg/VlaStep',
                stamp=200.0 * seq + 10.0,
                episode_id='e',
                backbone_hash=SPEC.backbone_hash,
                seq=seq,
                features=rng.normal(size=SPEC.feature_dim).astype(np.float32),
                base_action=rng.normal(0.0, 0.01, CHUNK[0] * CHUNK[1]).astype(np.float32),
                chunk_size=CHUNK[0],
                action_dim=CHUNK[1],
                seconds_per_action=SPEC.seconds_per_action,
                inference_ms=1.0,
                components=components,
            )
            recorder.write(TOPIC, step, 200.0 * seq + 20.0)
    return folder


def rows_of(folder: Path, spec: object) -> tuple[RecordedSteps, list]:
    with Bag(folder) as opened:
        stream = RecordedSteps(opened, Mapping({}, steps=TOPIC), spec)
        return stream, list(stream.rows([]))


def memory_of_deltas() -> object:
    card = {**WEIGHTS.card, 'action_spec': MOVING.action_spec.to_dict()}
    return build_memory('aura', MemoryWeights(WEIGHTS.arrays, card, WEIGHTS.sha256))


def test_deltas_replay_bit_for_bit(bag: Path) -> None:
    chunks = []
    for _ in range(2):
        stream, rows = rows_of(bag, MOVING)
        assert len(rows) == COUNT
        info = Steps.of(stream.info, rows).info
        assert info.components == DELTAS and info.joint_names[:4] == (
            'translation_0',
            'translation_1',
            'translation_2',
            'rotation_0',
        )
        session = MemorySession(memory_of_deltas())
        chunks.append(
            [
                session.apply(
                    Step(
                        row.episode_id,
                        row.seq,
                        row.stamp_ns,
                        row.features,
                        row.base_action,
                        info.seconds_per_action,
                        backbone_hash=info.backbone_hash,
                        components=info.components,
                    )
                ).decision.action.tobytes()
                for row in rows
            ]
        )
    assert chunks[0] == chunks[1] and len(set(chunks[0])) == COUNT


def test_steps_of_other_actions_are_not_those_of_the_backbone(bag: Path) -> None:
    stream, rows = rows_of(bag, SPEC)
    assert rows == []
    assert any('[absolute joint targets], those of the backbone' in note for note in stream.facts().notes)


def test_a_memory_of_joint_targets_is_refused_with_both_specs() -> None:
    options = PolicyOptions(SPEC.feature_dim, CHUNK, SPEC.backbone_hash, actions=MOVING.action_spec)
    with pytest.raises(ConfigError, match=r'policy aura: .*absolute joint.*3 x delta ee_position'):
        make_policy('aura', options)
    assert make_policy('aura', replace(options, actions=SPEC.action_spec)).name == 'aura'
