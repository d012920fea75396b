# SPDX-License-Identifier: Apache-2.0
"""A synthetic run for the monitor: the memory writes at cues only.

W changes by the real delta rule; scores, sizes and rates are those of the demo. The run is the same on every machine.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

import numpy as np

from aura_ros.common.names import EventKind
from aura_ros.memory.fast_weights import FastWeights
from aura_ros.rqt.points import (
    AURA,
    DURABLE,
    KV,
    RAM,
    CachePoint,
    CameraPoint,
    DiagnosticPoint,
    GatePoint,
    InstructionPoint,
    Point,
    PolicyPoint,
    StatePoint,
    StepPoint,
    TaskPoint,
    Thumbnail,
    WritePoint,
)

BEGIN_S = 1_790_000_000.0
EPISODE = '7c1e09d4-5b1f-4f6e-9a5c-2f1d8e3b6a70'
NODES = ('policy_switch_node', 'kv_baseline_node', 'memory_node', 'sim_node', 'vla_node')
COLOURS = ('red', 'blue', 'green')
_BLOCKS = np.array([[196, 62, 48], [52, 120, 190], [66, 150, 84]], float)


@dataclass(frozen=True)
class TimedPoint:
    """A point and when it arrives."""

    after_s: float
    """Time since the start [s]."""
    point: Point


def scene(colour: int, width: int = 160, height: int = 120) -> np.ndarray:
    """A table, a robot arm, three blocks, and a beacon that shows a colour; uint8 [height, width, 3]."""
    y, x = np.mgrid[0:height, 0:width]
    image = np.empty((height, width, 3))
    image[:] = np.where((y < 38)[..., None], [206, 210, 216], [150, 138, 122] + 14.0 * (y[..., None] / height))
    for place, block in enumerate(_BLOCKS):
        left = 34 + 36 * place
        image[(abs(x - left) < 9) & (abs(y - 86) < 9)] = block
    image[(abs(x - 80 - (y - 20) * 0.35) < 5) & (y < 66)] = [92, 98, 108]
    image[(abs(x - 132) < 4) & (y > 22) & (y < 56)] = [70, 74, 82]
    glow = np.exp(-((x - 132) ** 2 + (y - 20) ** 2) / 260.0)[..., None]
    image += glow * (_BLOCKS[colour] * 1.25 - image)
    return np.clip(image, 0, 255).astype(np.uint8)


class Story:
    """Steps of one episode at `rate_hz`, with a cue about every 17 s."""

    def __init__(
        self,
        seconds: float = 170.0,
        rate_hz: float = 5.0,
        seed: int = 3,
        away_s: tuple[float, float] = (math.inf, math.inf),
    ) -> None:
        """Make a run; the same `seed` yields the same run.

        Args:
            seconds: length of the run [s].
            rate_hz: steps a second [Hz].
            seed: of the scores and cues.
            away_s: between these times memory_node does not run; its memory is in RAM only and empty afterwards [s].
        """
        self._seconds, self._rate_hz = seconds, rate_hz
        self._random = np.random.default_rng(seed)
        self._memory = FastWeights()
        self._row_age = np.zeros(32, np.uint64)
        self._writes = self._colour = 0
        self._gone, self._back = away_s

    def __iter__(self) -> Iterator[TimedPoint]:
        """Yield all points in order of arrival."""
        period = 1.0 / self._rate_hz
        cues = self._cues()
        for seq in count():
            after = seq * period
            if after > self._seconds:
                return
            cue = next((at for at in cues if at <= after < at + period), None)
            away = self._gone <= after < self._back
            if away:
                self._memory, self._writes = FastWeights(), 0
                self._row_age[:] = 0
            points = self._step(seq, BEGIN_S + after, cue is not None and not away)
            yield from (TimedPoint(after, point) for point in points if not (away and of_memory_node(point)))
            if seq % max(1, round(self._rate_hz)) == 0:
                for point in reports(BEGIN_S + after, self._writes, self._rate_hz, ram=self._back < math.inf):
                    if not (away and of_memory_node(point)):
                        yield TimedPoint(after, point)

    def _cues(self) -> list[float]:
        gaps = self._random.uniform(7.0, 27.0, size=int(self._seconds / 7) + 1)
        return [0.0, *np.cumsum(gaps).tolist()]

    def _step(self, seq: int, stamp: float, cue: bool) -> Iterator[Point]:
        random = self._random
        if seq == 0:
            yield InstructionPoint('touch the block that the beacon showed')
        if seq % max(1, round(self._rate_hz / 2)) == 0:
            yield CameraPoint(stamp, scene(self._colour))
        self._row_age += np.uint64(1)
        score = float(random.uniform(0.91, 0.98)) if cue else float(np.clip(random.gamma(0.35, 0.035), 0.002, 0.42))
        surprise = float(random.uniform(18.0, 33.0)) if cue else float(random.uniform(0.5, 3.5))
        yield StepPoint(stamp, seq, float(random.normal(21.0, 1.6)), EPISODE, float(random.normal(0.034, 0.004)))
        if cue:
            yield from self._write(seq, stamp, score, surprise)
        micro = float(random.normal(46.0, 5.0))
        delay = float(random.normal(0.037, 0.004))
        yield GatePoint(stamp, EPISODE, seq, score, 0.5, cue, surprise, micro, 4224, AURA, delay)
        size = (seq + 1) * 256
        yield GatePoint(stamp, EPISODE, seq, 1.0, 0.0, True, 0.0, 60.0 + size / 2000, size, KV, delay)
        yield CachePoint(stamp, seq, seq + 1, size, 0)
        yield PolicyPoint(stamp, AURA, AURA, 0, True, False, 'aura drives since step 0', 15_527, 0, 1, EPISODE)
        if seq % max(1, round(self._rate_hz / 2)) == 0 or cue:
            weights, vector = self._memory.W.copy(), self._memory.b.copy()
            yield StatePoint(stamp, EPISODE, seq, weights, vector, self._row_age.copy(), 0x5EED0000 + seq)

    def _write(self, seq: int, stamp: float, score: float, surprise: float) -> Iterator[Point]:
        random = self._random
        key = random.normal(size=32).astype(np.float32)
        key *= np.float32(1.6) / np.linalg.norm(key)
        error = (random.normal(size=32) * random.gamma(1.2, 0.5, size=32)).astype(np.float32)
        error *= np.float32(surprise) / np.linalg.norm(error)
        delta = self._memory.write(key, error, 0.95)
        self._row_age[:] = 0
        self._writes += 1
        self._colour = int(random.integers(3))
        yield Thumbnail(stamp, scene(self._colour))
        if self._writes > 1:
            yield TaskPoint(stamp, EventKind.ROUND_SUCCESS, 'recall', self._writes - 2, COLOURS[self._colour])
        yield TaskPoint(stamp, EventKind.CUE, 'recall', self._writes - 1, COLOURS[self._colour])
        yield WritePoint(
            stamp,
            EPISODE,
            seq,
            AURA,
            score,
            0.5,
            surprise,
            float(random.uniform(0.02, 0.4)),
            float(np.linalg.norm(delta)),
            self._writes,
            self._writes * 4224,
            self._writes * 8352,
            0.0,
            0x5EED0000 + seq,
            DURABLE if self._back == math.inf else RAM,
        )


def of_memory_node(point: Point) -> bool:
    """Return whether memory_node sends what the point is made of."""
    if isinstance(point, DiagnosticPoint):
        return point.name.startswith('memory_node')
    return isinstance(point, (WritePoint, StatePoint, Thumbnail)) or (
        isinstance(point, GatePoint) and point.policy == AURA
    )


def reports(stamp: float, writes: int, rate_hz: float = 5.0, ram: bool = False) -> Iterator[Point]:
    """Yield the diagnostics that all nodes publish once a second; with `ram`, memory_node has no state file."""
    for name in NODES:
        if name != 'sim_node':
            yield DiagnosticPoint(f'{name}: lifecycle', 0, 'active', {'state': 'active'})
        yield DiagnosticPoint(f'{name}: qos', 0, 'all connections match')
    per_hour = writes * 8352 * 3600 / max(60.0, stamp - BEGIN_S)
    stored = {
        'restored': 'step 18204 of episode 41ab90c2, 3.1 s old, 214 writes, CRC-32 ok',
        'device_bytes_per_hour': str(round(per_hour)),
        'storage_life_years': '812000',
    }
    if ram:
        yield DiagnosticPoint('memory_node: state', 0, 'kept in RAM only: state_file is empty')
    else:
        yield DiagnosticPoint('memory_node: state', 0, 'kept on storage', stored)
    yield DiagnosticPoint(
        'kv_baseline_node: storage',
        0,
        'kept in RAM only',
        {'device_bytes_per_hour': str(round(rate_hz * 8352 * 3600)), 'storage_life_years': '114'},
    )
    yield DiagnosticPoint('policy_switch_node: switch', 0, 'aura drives', {'policy 1 late': '0', 'policy 2 stale': '2'})
    yield DiagnosticPoint('vla_node: backbone', 0, 'backbone works', {'dropped observation': '0'})
