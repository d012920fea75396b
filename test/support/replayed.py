# SPDX-License-Identifier: Apache-2.0
"""Synthetic steps and recordings for the shipped memories, for the tests of replay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from recordings import BEGIN_NS, COMMANDS, FRONT, INSTRUCTION, STATES, WRIST, Recorder, recording

from aura_ros.memory.weights import load_weights
from aura_ros.replay.policies import PolicyOptions
from aura_ros.replay.steps.arrays import Row, Steps, StepsInfo
from aura_ros.vla.protocol import BackboneSpec, Observation, VlaOutput

WEIGHTS = load_weights('aura')
CHUNK = (WEIGHTS.chunk_size, WEIGHTS.action_dim)
INFO = StepsInfo(tuple(f'joint{i}' for i in range(CHUNK[1])), 0.05, 4)
OPTIONS = PolicyOptions(WEIGHTS.feature_dim, CHUNK)
PERIOD_NS = 200_000_000
JOINTS = INFO.joint_names
SPEC = BackboneSpec(
    name='seeing',
    cameras=('front', 'wrist'),
    image_size=(8, 8),
    joint_names=JOINTS,
    feature_dim=WEIGHTS.feature_dim,
    chunk_size=CHUNK[0],
    action_dim=CHUNK[1],
    n_action_steps=INFO.n_action_steps,
    seconds_per_action=INFO.seconds_per_action,
    backbone_hash=WEIGHTS.backbone_hash,
)
STEPS = '/vla_step'


def synthetic_steps(
    count: int = 60, *, seed: int = 0, recorded: bool = True, episodes: int = 1, pictures: bool = True
) -> Steps:
    """Return steps with features like those of the training data, and recorded actions near the base actions."""
    rng = np.random.default_rng(seed)
    mean, scale = WEIGHTS.arrays['feature_mean'], WEIGHTS.arrays['feature_scale']
    rows = []
    for row in range(count):
        episode = row * episodes // count
        base = np.repeat(rng.normal(0, 0.3, (1, CHUNK[1])), CHUNK[0], axis=0).astype(np.float32)
        step = Row(
            BEGIN_NS + row * PERIOD_NS,
            f'episode-{episode}',
            row - -(-episode * count // episodes),
            (mean + scale * rng.normal(size=len(mean))).astype(np.float32),
            base,
            recorded_action=base + np.float32(0.01) if recorded else None,
            thumbnail=jpeg(row) if pictures else b'',
        )
        rows.append(step)
    return Steps.of(INFO, rows)


def joined(parts: Sequence[Steps]) -> Steps:
    """Concatenate several parts."""
    columns = {
        column.name: np.concatenate([getattr(part, column.name) for part in parts])
        for column in fields(Steps)
        if column.name not in ('info', 'thumbnails')
    }
    return Steps(parts[0].info, **columns, thumbnails=tuple(picture for part in parts for picture in part.thumbnails))


def jpeg(level: int) -> bytes:
    """Return a small grey picture."""
    return bytes(cv2.imencode('.jpg', np.full((12, 16, 3), level % 256, np.uint8))[1].tobytes())


class SeeingVla:
    """A backbone whose features depend on the brightness of the first camera. Its actions hold the position."""

    spec = SPEC
    calls = 0

    def infer(self, observation: Observation) -> VlaOutput:
        """Return features like those of the training data."""
        SeeingVla.calls += 1
        level = int(observation.images['front'].mean())
        noise = np.random.default_rng(level).normal(size=SPEC.feature_dim)
        z = WEIGHTS.arrays['feature_mean'] + WEIGHTS.arrays['feature_scale'] * noise
        return VlaOutput(z.astype(np.float32), np.repeat(observation.joint_positions[None], CHUNK[0], axis=0))


def seeing(path: str | None = None) -> SeeingVla:
    """Return the backbone 'replayed:seeing'."""
    return SeeingVla()


def bag_of(
    folder: Path,
    seconds: float = 4.0,
    *,
    with_steps: bool = False,
    episodes: int = 1,
    drove: Sequence[int] = (),
    per_rad: float = 1.0,
    **options: Any,
) -> Path:
    """Record a robot with eight joints for `SeeingVla`.

    Args:
        folder: new bag.
        seconds: length of the recording [s].
        with_steps: whether to record the VlaSteps.
        episodes: number of episodes of the VlaSteps.
        drove: policies that drive one after the other, for equal times.
        per_rad: recorded joint unit per radian.
        options: passed to `recording`.
    """
    with recording(folder, **options) as recorder:
        for number, policy in enumerate(drove):
            _status(recorder, 1000.0 * seconds * number / len(drove), policy)
        recorder.text(INSTRUCTION, 'put it back', 0.0)
        for tick in range(round(seconds * 20)):
            at, positions = 50.0 * tick + 10.0, [per_rad * (0.1 * joint + 0.001 * tick) for joint in range(len(JOINTS))]
            recorder.joints(STATES, at, positions, JOINTS)
            recorder.image(WRIST, at + 1)
            recorder.image(FRONT, at + 2, level=20 + tick % 200)
            recorder.trajectory(COMMANDS, at + 3, [positions], (0.05,), JOINTS)
            if with_steps and tick % SPEC.n_action_steps == 0:
                _step(recorder, tick, at + 2, positions, tick * episodes // round(seconds * 20))
    return folder


def _status(recorder: Recorder, at: float, policy: int) -> None:
    """Write the status of policy_switch_node when `policy` begins to drive."""
    times = [recorder.make('builtin_interfaces/msg/Time', sec=0, nanosec=0) for _ in range(3)]
    recorder.write(
        '/policy_status',
        recorder.make(
            'aura_ros/msg/PolicyStatus',
            stamp=at,
            episode_id='live',
            policy=policy,
            pending_policy=policy,
            effective_seq=0,
            control_enabled=True,
            holding=False,
            reason='',
            newest_seq=np.zeros(3, np.uint64),
            newest_stamp=times,
            clipped=0,
            rejected=0,
            holds=0,
        ),
        at,
    )


def _step(recorder: Recorder, tick: int, stamp: float, positions: list[float], episode: int) -> None:
    """Write a step of vla_node."""
    image = np.full((8, 8, 3), 20 + tick % 200, np.uint8)
    found = SeeingVla().infer(Observation({'front': image}, np.asarray(positions, np.float32), 'put it back'))
    recorder.write(
        STEPS,
        recorder.make(
            'aura_ros/msg/VlaStep',
            stamp=stamp,
            episode_id=f'live{episode or ""}',
            backbone_hash=SPEC.backbone_hash,
            seq=tick // SPEC.n_action_steps,
            features=found.features,
            base_action=found.actions.ravel(),
            chunk_size=CHUNK[0],
            action_dim=CHUNK[1],
            seconds_per_action=SPEC.seconds_per_action,
            inference_ms=1.0,
        ),
        stamp + 30,
    )
