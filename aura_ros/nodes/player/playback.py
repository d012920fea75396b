# SPDX-License-Identifier: Apache-2.0
"""The player's parameters, the recording that they select, and its pace."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from aura_ros.common.errors import BagError, ConfigError
from aura_ros.control import JointSources
from aura_ros.control.robot_file import read_robot_file
from aura_ros.nodes.player import bag_play
from aura_ros.nodes.player.graph import GATES, PlayerGraph
from aura_ros.recordings.bags import Bag
from aura_ros.recordings.metadata import recorder_warnings
from aura_ros.recordings.type_names import VLA_STEP
from aura_ros.recordings.types import Sample
from aura_ros.replay.steps.candidates import Notes
from aura_ros.replay.steps.clocks import GAP_NS, first_ns
from aura_ros.replay.steps.guess import guess, prompts
from aura_ros.replay.steps.mapping import Instruction, JointStream, Mapping
from aura_ros.replay.steps.mapping_file import load_mapping
from aura_ros.replay.steps.measured_pose import measured_joints
from aura_ros.replay.steps.robot import completed
from aura_ros.ros import foreign
from aura_ros.ros.parameters import parameter, strings
from aura_ros.vla import load_backbone
from aura_ros.vla.cameras import camera_topics, recorded_topic
from aura_ros.vla.protocol import BackboneSpec

_NS = 1_000_000_000
# Period of /clock between messages [s, steady clock].
_TICK_S = 0.01


@dataclass(frozen=True)
class PlayerConfig:
    """Parameters of player."""

    bag: str = parameter('', 'Recording: a rosbag2 folder, an .mcap or .db3 file, or a LeRobot dataset', at_start=True)
    mapping: str = parameter('', 'Mapping file; empty guesses it from names and types', at_start=True)
    robot_file: str = parameter('', 'Robot file of vla_node; gives the topics of the joints', at_start=True)
    source: str = parameter(
        'inputs',
        "'inputs' plays cameras, joints and instruction to vla_node; 'steps' plays recorded VlaSteps to the memories",
        choices=('inputs', 'steps'),
    )
    lockstep: bool = parameter(False, 'Wait for the answer to each observation before the next one; repeatable')
    player: str = parameter(
        'auto',
        "Player in real time: 'ros2' is ros2 bag play, 'own' is this node, 'auto' is ros2 if it can play",
        choices=bag_play.CHOICES,
    )
    rate: float = parameter(1.0, 'Speed relative to the recording', unit='1', low=0.01, high=100.0)
    from_s: float = parameter(0.0, 'Start, after the first message', unit='s', low=0.0, high=1e9)
    to_s: float = parameter(0.0, 'End, after the first message; 0 plays to the end', unit='s', low=0.0, high=1e9)
    cameras: str = parameter('', 'Recorded topic of each camera, as YAML; empty: that of the mapping', at_start=True)
    joint_states_topic: str = parameter('', 'Recorded topic of the joints; empty: that of the mapping', at_start=True)
    instruction_topic: str = parameter(
        '', 'Recorded topic of the instruction; empty: that of the mapping', at_start=True
    )
    instruction: str = parameter('', 'Instruction, if the mapping has none')
    policies: tuple[str, ...] = strings('Memories that have to answer in lock-step', ('aura', 'kv'))
    step_subscribers: int = parameter(
        2, "With source 'steps': subscriptions to vla_step to wait for", unit='1', low=0, high=16
    )
    backbone: str = parameter('embedded', 'Backbone of vla_node; gives the cameras and joints', at_start=True)
    backbone_path: str = parameter('', 'Weights of the backbone of vla_node', at_start=True)
    start_timeout_s: float = parameter(60.0, 'Longest wait for the nodes at start', unit='s', low=1.0, high=3600.0)
    stall_timeout_s: float = parameter(30.0, 'Longest wait for an answer', unit='s', low=1.0, high=3600.0)
    allow_shared_graph: bool = parameter(False, foreign.PARAMETER_TEXT)

    def check(self) -> None:
        """Check the parameters together.

        Raises:
            ConfigError: there is nothing to play, or parameters exclude each other.
        """
        if not self.bag:
            raise ConfigError("parameter 'bag' is empty: must be the path of a recording")
        unknown = sorted(set(self.policies) - set(GATES))
        if unknown:
            raise ConfigError(f"parameter 'policies' has '{unknown[0]}': must be of {', '.join(GATES)}")
        if self.lockstep and self.player == 'ros2':
            raise ConfigError("parameter 'player' is 'ros2': must be 'own' in lock-step: ros2 bag play does not wait")


@dataclass(frozen=True)
class Playback:
    """The recording, or part of one, to play."""

    bag: Bag
    """Open recording."""
    mapping: Mapping
    """Roles of its topics."""
    spec: BackboneSpec | None
    """Spec of the backbone with the joints as they are sent to vla_node; None for recorded steps."""
    begin_ns: int
    """Log time of the start [ns]."""
    end_ns: int
    """Log time of the end [ns]."""

    def samples(self, topics: list[str]) -> Iterator[Sample]:
        """Yield the samples of topics in log order."""
        return self.bag.samples(topics, self.begin_ns, self.end_ns)


def find_playback(config: PlayerConfig, bag: Bag, log: Any) -> Playback:
    """Return what to play, and log what was guessed and what is missing.

    Raises:
        BagError: the recording cannot be played.
        ConfigError: the mapping or the span is not allowed.
    """
    spec = None if config.source == 'steps' else load_backbone(config.backbone, config.backbone_path or None).spec
    if spec is not None:
        mapping, spec = _inputs(config, bag, spec, log)
    elif config.mapping:
        mapping = load_mapping(Path(config.mapping).expanduser())
    else:
        recorded = bag.of_type(VLA_STEP)
        mapping = Mapping({}, steps=recorded[0].name if recorded else '')
    if spec is None and not mapping.steps:
        raise BagError(f'{bag.path} has no VlaStep, or the mapping has no steps: set source:=inputs')
    if spec is not None:
        mapping = _with_topics(mapping, config, bag, spec)
    if spec is not None and mapping.instruction == Instruction():
        text = config.instruction or next(iter(prompts(bag).values()), '')
        if not text:
            raise BagError(f"{bag.path} has no instruction: add it to the mapping, or set parameter 'instruction'")
        mapping = replace(mapping, instruction=Instruction(text=text))
    first = first_ns(bag, mapping if spec is not None else Mapping({}, steps=mapping.steps))
    if first - bag.begin_ns > GAP_NS:
        log.warning(f'{(first - bag.begin_ns) / _NS:.0f} s without messages at the beginning are skipped')
    begin_ns = first + round(config.from_s * _NS)
    end_ns = first + round(config.to_s * _NS) if config.to_s else bag.end_ns
    if not begin_ns < min(end_ns, bag.end_ns):
        length_s = (bag.end_ns - first) / _NS
        raise ConfigError(f'from_s = {config.from_s:g}, to_s = {config.to_s:g}: must be a span within {length_s:.1f} s')
    for warning in recorder_warnings(bag.metadata):
        log.warning(warning)
    if bag.partial:
        log.warning(f'the recording is partial: {bag.partial}')
    return Playback(bag, mapping, spec, begin_ns, end_ns)


def _inputs(config: PlayerConfig, bag: Bag, spec: BackboneSpec, log: Any) -> tuple[Mapping, BackboneSpec]:
    """Return the mapping of the inputs, and the spec with the joints that vla_node takes; log what was guessed."""
    robot = read_robot_file(Path(config.robot_file).expanduser()) if config.robot_file else None
    if robot is not None and robot.robot.sources == JointSources():
        robot = None  # without topics and maps, that of the mapping or of the recording is more specific
    notes = Notes()
    if config.mapping:
        mapping = completed(bag, load_mapping(Path(config.mapping).expanduser()), spec, robot, notes)
    else:
        found = guess(bag, spec, robot)
        mapping, notes.chosen = found.mapping, list(found.notes)
    for note in notes.chosen:
        if not (config.cameras and note.startswith('camera')):
            log.info(f'mapping: {note}')
    # vla_node converts degrees, and with the same robot file the mapped joints.
    measured = replace(spec, state=None)
    if robot is None or not robot.robot.sources.maps:
        return mapping, measured
    names = measured_joints(spec.joint_names, robot.robot.sources)
    return replace(mapping, sources=JointSources()), replace(measured, joint_names=names)


def _with_topics(mapping: Mapping, config: PlayerConfig, bag: Bag, spec: BackboneSpec) -> Mapping:
    """Return the mapping with the topics that the parameters name."""
    recorded = [topic.name for topic in bag.topics if topic.count]
    if config.cameras:
        cameras = camera_topics(config.cameras, spec.cameras)
        mapping = replace(mapping, cameras={name: recorded_topic(topic, recorded) for name, topic in cameras.items()})
    if config.joint_states_topic:
        topic = recorded_topic(config.joint_states_topic, recorded)
        known = tuple(stream for stream in mapping.joints if stream.topic == topic)
        mapping = replace(mapping, joints=known or (JointStream(topic),))
    if config.instruction_topic:
        mapping = replace(mapping, instruction=Instruction(recorded_topic(config.instruction_topic, recorded)))
    return mapping


class Pace:
    """Waits until the next message is due, from the first one on. Steady clock."""

    def __init__(self, graph: PlayerGraph, rate: float, tick: Callable[[int], None], log: Any) -> None:
        """Wait at `rate` times the recorded speed; meanwhile spin `graph` and call `tick` with the time [ns]."""
        self._graph, self._rate, self._tick, self._log = graph, rate, tick, log
        self._first: tuple[int, float] | None = None
        self._last_ns = 0

    def wait(self, at_ns: int) -> None:
        """Return when the recording's clock is at `at_ns`. A gap of more than GAP_NS is skipped."""
        gap_ns = at_ns - self._last_ns
        if self._first is None:
            self._first = (at_ns, time.monotonic())
        elif gap_ns > GAP_NS:
            self._log.warning(f'{gap_ns / _NS:.0f} s without messages are skipped')
            self.resume(at_ns)
        self._last_ns = at_ns
        first_ns, began = self._first
        while (left_s := began + (at_ns - first_ns) / _NS / self._rate - time.monotonic()) > 0.0:
            self._graph.spin_until(lambda: False, min(left_s, _TICK_S))
            self._tick(min(at_ns, first_ns + round((time.monotonic() - began) * self._rate * _NS)))
        self._tick(at_ns)
        self._graph.spin_some()

    def resume(self, at_ns: int) -> None:
        """Continue from `at_ns` after a pause of the recording's clock."""
        self._first = (at_ns, time.monotonic())
