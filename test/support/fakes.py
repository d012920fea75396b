# SPDX-License-Identifier: Apache-2.0
"""Fakes of the backbone, the memories and the simulation, which parameters name as module:attribute.

The scripted backbone adds 0.01 rad to each measured joint, so a chunk identifies the measurement that it came from.
Each memory adds its own constant, so a command identifies its policy.
"""

import os
import threading
import time
import zlib
from types import SimpleNamespace

import numpy as np

from aura_ros.memory.protocol import Decision, Memory
from aura_ros.vla.protocol import BackboneSpec, VlaOutput

JOINTS = (*(f'joint{i}' for i in range(1, 8)), 'finger_joint')
CHUNK_LEN, FEATURES = 8, 16
AURA_OFFSET, KV_OFFSET = 0.001, 0.002
# Position to which MarkedVla sends the first seven joints, and the position that BiasedSimulation then measures [rad].
POSE = 0.1
READING = POSE + 0.0004
# Difference between two actions of RampedVla [rad]; a whole chunk stays below READING.
RAMP = 0.00005
SPEC = BackboneSpec(
    name='scripted',
    cameras=('front', 'wrist'),
    image_size=(128, 128),
    joint_names=JOINTS,
    feature_dim=FEATURES,
    chunk_size=CHUNK_LEN,
    action_dim=len(JOINTS),
    n_action_steps=4,
    seconds_per_action=0.05,
    backbone_hash='ab' * 32,
)


class ScriptedVla:
    """A backbone that moves all joints by 0.01 rad. Some instructions make it fail or wait for `resume`."""

    def __init__(self, path=None):
        self.spec = SPEC
        self.calls = 0
        self.resume = threading.Event()

    def infer(self, observation):
        self.calls += 1
        word, *more = observation.instruction.split()
        errors = {'raise': RuntimeError('raised on request'), 'memory': MemoryError(), 'exit': SystemExit(1)}
        if word in errors:
            raise errors[word]
        if word == 'once' and self.calls == 1:
            raise RuntimeError('the scripted backbone raised once on request')
        if word in ('slow', 'hang'):
            time.sleep(float(more[0]) if word == 'hang' else 0.5)
        if word == 'wait':
            self.resume.wait()
        base = observation.joint_positions + np.float32(0.01)
        actions = np.repeat(base[None], CHUNK_LEN, axis=0)
        features = np.full(FEATURES, observation.images['front'].mean() / 255.0, np.float32)
        if word in ('nan', 'inf'):
            actions[0, 0] = float(word)
        if word == 'features':
            features[0] = np.nan
        if word == 'horizon':
            actions = actions[:-1]
        return None if word == 'nothing' else VlaOutput(features, actions.T if word == 'shape' else actions)


class MarkedVla(ScriptedVla):
    """Sends all joints to one pose. A command is POSE plus the offset of its policy, so it identifies the policy."""

    def infer(self, observation):
        if observation.instruction.startswith('slow'):
            time.sleep(0.25)  # longer than the period of the steps, shorter than a chunk
        features = np.full(FEATURES, observation.images['front'].mean() / 255.0, np.float32)
        actions = np.full((CHUNK_LEN, len(JOINTS)), POSE, np.float32)
        actions[:, -1] = 0.0  # finger
        return VlaOutput(features, actions)


class RampedVla(MarkedVla):
    """Each action of a chunk differs a little from the one before, so an equal command is a hold."""

    def infer(self, observation):
        found = super().infer(observation)
        found.actions[:, :-1] += RAMP * np.arange(CHUNK_LEN, dtype=np.float32)[:, None]
        return found


class ScriptedMemory(Memory):
    """Counts its steps and writes on every third step."""

    name = 'scripted'
    memory_hash = SPEC.backbone_hash
    backbone_hash = SPEC.backbone_hash
    feature_dim = FEATURES
    chunk_shape = (CHUNK_LEN, len(JOINTS))
    state_layout = '<f4[32,32] <f4[32]'

    def __init__(self, offset):
        self._offset = np.float32(offset)
        self.window = 0
        self.reset()

    def reset(self):
        self.seen = 0
        self.writes = 0
        self.fast_weights = np.zeros((32, 32), np.float32)
        self.vector = np.zeros(32, np.float32)
        self.row_age = np.zeros(32, np.uint64)

    @property
    def entries(self):
        return self.seen

    @property
    def state_bytes(self):
        return 4224

    def step(self, z, base_action):
        written = self.seen % 3 == 0
        self.seen += 1
        self.writes += int(written)
        self.vector[0] = self.seen
        return Decision(
            action=base_action + self._offset,
            gate=np.float32(0.75),
            threshold=0.5,
            written=written,
            surprise=np.float32(0.25),
            action_change=0.1,
            delta_norm=0.2,
        )

    def export(self):
        return self.fast_weights.tobytes() + self.vector.tobytes()

    def restore(self, data):
        self.vector = np.frombuffer(data[4096:], np.float32).copy()
        self.seen = int(self.vector[0])

    def crc(self):
        return zlib.crc32(self.export())


def aura(path=None, window=0):
    return ScriptedMemory(AURA_OFFSET)


def kv(path=None, window=0):
    return ScriptedMemory(KV_OFFSET)


class FakeSimulation:
    """A robot that reaches each target in one step. An episode lasts `rounds` seconds."""

    dt = 0.05
    joint_names = JOINTS

    def __init__(self, task, split, seed, rounds):
        self._tick, self._rounds, self._task = 0, rounds, task
        self.joint_positions = np.zeros(len(JOINTS))
        self.joint_velocities = np.zeros(len(JOINTS))
        self.instruction = f'{task} it'
        self.log = []
        self.initial_events = (self._event(0),)

    def _event(self, kind, last=False):
        return SimpleNamespace(kind=kind, time=self.time, task=self._task, round=0, colour='red', last=last)

    @property
    def time(self):
        return self._tick * self.dt

    @property
    def done(self):
        return self.time >= self._rounds

    def step(self, target):
        self._tick += 1
        self.joint_velocities = (target - self.joint_positions) / self.dt
        self.joint_positions = np.array(target)
        self.log.append(self.joint_positions)
        return (self._event(5, True),) if self.done else ()

    def render(self, camera):
        return np.full((128, 128, 3), 40 + self._tick % 100, np.uint8)

    def close(self):
        path = os.environ.get('FAKE_SIMULATION_LOG')
        if path and self.log:
            np.save(path, np.array(self.log))


class BiasedSimulation(FakeSimulation):
    """Measures joint positions that differ from every command, so that a hold differs from the commands."""

    def step(self, target):
        found = super().step(target)
        self.joint_positions = np.full(len(JOINTS), READING)
        self.joint_positions[-1] = 0.0
        return found
