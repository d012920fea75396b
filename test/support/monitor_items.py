# SPDX-License-Identifier: Apache-2.0
"""A run for the monitor with a content-addressed memory: the shipped weights on a synthetic stream.

A key of the stream is a lamp, and its class is the colour of the lamp. The run is the same on every machine, apart from
rounding.
"""

import colorsys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from monitor_story import BEGIN_S, reports

import aura_ros.bench
from aura_ros.bench.streams import CLASS_CODE, CLASSES, KEY_CODE, Streams, StreamSetting, codebook, draw, generator
from aura_ros.memory import load_memory
from aura_ros.memory.content_addressed import ROWS
from aura_ros.rqt.points import (
    AURA,
    DURABLE,
    KV,
    CachePoint,
    GatePoint,
    Point,
    PolicyPoint,
    StatePoint,
    StepPoint,
    Thumbnail,
    WritePoint,
)

WEIGHTS = Path(aura_ros.bench.__file__).parent / 'weights/synthetic_hard_aura_content.safetensors'
CALM = StreamSetting(bindings=16, event=0.02, repeat=0.2, query=0.2)
"""About six writes a minute."""
BUSY = StreamSetting(bindings=40, event=0.15, repeat=0.2, query=0.1)
"""More items than rows, and writes that let other rows fade."""
HZ = 5.0
EPISODE = '2b0c6e1d-90aa-4f0e-8f57-6d1f0c9a3b42'


def lamps(key: int, colour: int) -> np.ndarray:
    """A panel of 16 lamps of which one shows a colour; uint8 [120, 160, 3]."""
    image = np.full((120, 160, 3), 62, np.uint8)
    lit = np.array(colorsys.hsv_to_rgb(colour / CLASSES, 0.9, 1.0)) * 255
    for lamp in range(16):
        radius, shade = (15, lit) if lamp == key % 16 else (8, 104)
        x, y = 28 + 35 * (lamp % 4), 18 + 28 * (lamp // 4)
        part = image[y - radius : y + radius + 1, x - radius : x + radius + 1]
        part[np.hypot(*np.mgrid[-radius : radius + 1, -radius : radius + 1]) < radius] = shade
    return image


class ItemRun:
    """A content-addressed memory on a stream, and the true last write of each of its rows."""

    def __init__(
        self, steps: int, setting: StreamSetting = CALM, episode: str = EPISODE, begin_s: float = BEGIN_S
    ) -> None:
        """Load the weights and draw a stream of `steps` steps, whose first one is at `begin_s` [s]."""
        self.memory = load_memory('aura', WEIGHTS)
        self.stream: Streams = draw(setting, 1, steps, generator('robustness', 3))
        self.steps, self.episode, self.begin_s = steps, episode, begin_s
        self.written = np.full(ROWS, -1)
        """Step of the last write of each row, -1 for an empty one."""

    def step(self, seq: int) -> list[Point]:
        """Apply a step and return what the nodes publish about it, without the state."""
        decision = self.memory.step(self.stream.z[0, seq], np.zeros((1, 8), np.float32))
        stamp_s, surprise = self.begin_s + seq / HZ, decision.surprise
        points: list[Point] = [
            StepPoint(stamp_s, seq, 21.0, self.episode, 0.034),
            GatePoint(
                stamp_s, self.episode, seq, decision.gate, 0.5, decision.written, surprise, 46.0, 4224, AURA, 0.037
            ),
        ]
        if decision.written:
            self.written[int(self.memory.vector.argmax())] = seq
            self.written[self.memory.vector == 0] = -1
            # The outputs of the stream are scores of classes, not joints, so a change of an action is made up.
            writes, changed = self.memory.writes, (0.1, decision.delta_norm)
            counts = (writes, 4224 * writes, 8352 * writes, 0.0, seq, DURABLE)
            points.append(WritePoint(stamp_s, self.episode, seq, AURA, decision.gate, 0.5, surprise, *changed, *counts))
            points.append(Thumbnail(stamp_s, lamps(int(self.stream.key[0, seq]), shown_class(self.stream.z[0, seq]))))
        return points

    def state(self, seq: int) -> StatePoint:
        """Return the state after step `seq`."""
        memory = self.memory
        arrays = (memory.fast_weights.copy(), memory.vector.copy(), memory.row_age.copy())
        return StatePoint(self.begin_s + seq / HZ, self.episode, seq, *arrays, 0x17E30000 + seq)

    def points(self, every: int = 3) -> Iterator[Point]:
        """Yield the points of the whole run, with the state at one step of `every`."""
        for seq in range(self.steps):
            yield from self.step(seq)
            stamp_s = self.begin_s + seq / HZ
            yield CachePoint(stamp_s, seq, seq + 1, (seq + 1) * 256, 0)
            yield GatePoint(stamp_s, self.episode, seq, 1.0, 0.0, True, 0.0, 60.0, (seq + 1) * 256, KV, 0.037)
            yield PolicyPoint(stamp_s, AURA, AURA, 0, True, False, 'aura drives since step 0', 0, 0, 0, self.episode)
            if seq % every == 0:
                yield self.state(seq)
            if seq % round(HZ) == 0:
                yield from reports(stamp_s, self.memory.writes)


def shown_class(z: np.ndarray) -> int:
    """Return the class whose code an observation shows."""
    return int((codebook()[1] @ z[KEY_CODE : KEY_CODE + CLASS_CODE]).argmax())
