# SPDX-License-Identifier: Apache-2.0
"""What the player plays, and how fast: its parameters, the recording behind them, and when a message is due."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from aura_ros.common.errors import BagError, ConfigError
from aura_ros.nodes.player import bag_play
from aura_ros.nodes.player.graph import GATES, PlayerGraph
from aura_ros.recordings.bags import Bag
from aura_ros.recordings.source import Sample
from aura_ros.recordings.type_names import VLA_STEP
from aura_ros.replay.steps.guess import guess
from aura_ros.replay.steps.mapping import Instruction, JointStream, Mapping, load_mapping
from aura_ros.ros.parameters import parameter, strings
from aura_ros.vla import load_backbone
from aura_ros.vla.protocol import BackboneSpec

_NS = 1_000_000_000
# How often time is told while nothing else is [s, steady clock].
_TICK_S = 0.01


@dataclass(frozen=True)
class PlayerConfig:
    """Parameters of player."""

    bag: str = parameter('', 'The recording: a rosbag2 folder, .mcap, .db3 or LeRobot dataset', at_start=True)
    mapping: str = parameter('', 'Mapping file; empty: guessed from the types', at_start=True)
    source: str = parameter(
        'inputs',
        "'inputs': cameras, joints and instruction, to vla_node; 'steps': recorded VlaSteps, to the memories",
        choices=('inputs', 'steps'),
    )
    lockstep: bool = parameter(False, 'Each observation waits for the answer to the one before; repeatable')
    player: str = parameter(
        'auto',
        "In real time: 'ros2' is ros2 bag play, 'own' this node, 'auto' ros2 where it can",
        choices=bag_play.CHOICES,
    )
    rate: float = parameter(1.0, 'How many times as fast as it was recorded', unit='1', low=0.01, high=100.0)
    from_s: float = parameter(0.0, 'Where to begin, after the first message', unit='s', low=0.0, high=1e9)
    to_s: float = parameter(0.0, 'Where to end, after the first message; 0 = at the end', unit='s', low=0.0, high=1e9)
    camera_transport: str = parameter('raw', 'That of vla_node; in lock-step always raw', choices=('raw', 'compressed'))
    instruction: str = parameter('', 'What the robot is told where the mapping does not say')
    policies: tuple[str, ...] = strings('Memories that answer in lock-step', ('aura', 'kv'))
    step_subscribers: int = parameter(
        2, 'Playing steps, begins when so many listen to vla_step', unit='1', low=0, high=16
    )
    backbone: str = parameter('embedded', 'That of vla_node: says which cameras and joints it needs', at_start=True)
    backbone_path: str = parameter('', "That of vla_node: the backbone's weights", at_start=True)
    start_timeout_s: float = parameter(60.0, 'How long nodes may take to come up', unit='s', low=1.0, high=3600.0)
    stall_timeout_s: float = parameter(
        30.0, 'Give up when no answer has come for so long', unit='s', low=1.0, high=3600.0
    )

    def check(self) -> None:
        """Check what a range cannot say.

        Raises:
            ConfigError: there is nothing to play, or parameters exclude each other.
        """
        if not self.bag:
            raise ConfigError("parameter 'bag' is empty: name a recording")
        unknown = sorted(set(self.policies) - set(GATES))
        if unknown:
            raise ConfigError(f"parameter 'policies' has '{unknown[0]}': must be of {', '.join(GATES)}")
        if self.lockstep and self.camera_transport != 'raw':
            raise ConfigError("parameter 'camera_transport' is 'compressed': must be 'raw' in lock-step")
        if self.lockstep and self.player == 'ros2':
            raise ConfigError("parameter 'player' is 'ros2': lock-step needs 'own', for ros2 bag play waits for nobody")


@dataclass(frozen=True)
class Playback:
    """What is played.

    bag, mapping: the recording, and which topic is what.
    spec: what the backbone needs; None where steps are played.
    begin_ns, end_ns: log times to play [ns].
    """

    bag: Bag
    mapping: Mapping
    spec: BackboneSpec | None
    begin_ns: int
    end_ns: int

    def samples(self, topics: list[str]) -> Iterator[Sample]:
        """Samples of topics, in log order."""
        return self.bag.samples(topics, self.begin_ns, self.end_ns)


def find_tape(config: PlayerConfig, bag: Bag, log: Any) -> Playback:
    """Find out what is to be played, saying to `log` what was guessed and what is missing.

    Raises:
        BagError, ConfigError: the recording, the mapping or the span cannot be used.
    """
    spec = None if config.source == 'steps' else load_backbone(config.backbone, config.backbone_path or None).spec
    if config.mapping:
        mapping = load_mapping(Path(config.mapping).expanduser())
    elif spec is None:
        recorded = [topic.name for topic in bag.topics if topic.type == VLA_STEP and topic.count]
        mapping = Mapping({}, JointStream(''), steps=recorded[0] if recorded else '')
    else:
        found = guess(bag, spec)
        mapping = found.mapping
        for note in found.notes:
            log.info(f'mapping: {note}')
    if spec is None and not mapping.steps:
        raise BagError(f'{bag.path} has no VlaStep, or the mapping does not name their topic: source steps plays these')
    if spec is not None and mapping.instruction == Instruction():
        if not config.instruction:
            raise BagError(f"{bag.path} has no instruction: give one in the mapping or by parameter 'instruction'")
        mapping = replace(mapping, instruction=Instruction(text=config.instruction))
    begin_ns = bag.begin_ns + round(config.from_s * _NS)
    end_ns = bag.begin_ns + round(config.to_s * _NS) if config.to_s else bag.end_ns
    if not begin_ns < min(end_ns, bag.end_ns):
        length_s = (bag.end_ns - bag.begin_ns) / _NS
        raise ConfigError(f'from_s = {config.from_s:g}, to_s = {config.to_s:g}: must be a span within {length_s:.1f} s')
    if bag.partial:
        log.warning(f'the recording is partial: {bag.partial}')
    return Playback(bag, mapping, spec, begin_ns, end_ns)


class Pace:
    """When the next message is due; the first one is at once. Steady clock."""

    def __init__(self, graph: PlayerGraph, rate: float, tick: Callable[[int], None]) -> None:
        """Listen on `graph` meanwhile, `tick` the recording's time [ns], `rate` times as fast as recorded."""
        self._graph, self._rate, self._tick = graph, rate, tick
        self._first: tuple[int, float] | None = None

    def wait(self, at_ns: int) -> None:
        """Return when it is `at_ns` on the recording's clock."""
        if self._first is None:
            self._first = (at_ns, time.monotonic())
        first_ns, began = self._first
        while (left_s := began + (at_ns - first_ns) / _NS / self._rate - time.monotonic()) > 0.0:
            self._graph.spin_until(lambda: False, min(left_s, _TICK_S))
            self._tick(min(at_ns, first_ns + round((time.monotonic() - began) * self._rate * _NS)))
        self._tick(at_ns)
        self._graph.listen()
