# SPDX-License-Identifier: Apache-2.0
"""player: plays a recording to the real nodes, in place of cameras, joints and clock.

In lock-step, the player publishes each observation of the offline alignment (replay/steps/align.py) with one stamp. It
publishes the next one after vla_node has published its step and the memories have answered. Each replay therefore gives
the same steps, whatever the load of the machine. In real time, the messages keep their recorded times, scaled by
`rate`; late inputs are dropped, as on a robot. With `source` steps, the player publishes the recorded VlaSteps in place
of vla_node.

The player is a client that ends by itself. Executor thread only. /clock is the recording's time.
"""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.impl.rcutils_logger import RcutilsLogger
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import Image

from aura_ros.common.errors import BagError, InputError
from aura_ros.common.program import end_on_signals, program
from aura_ros.nodes.player import bag_play
from aura_ros.nodes.player.graph import PlayerError, PlayerGraph
from aura_ros.nodes.player.messages import (
    Messages,
    Streams,
    image_topic,
    instruction_at_start,
    observation_messages,
    serialised,
)
from aura_ros.nodes.player.playback import Pace, Playback, PlayerConfig, find_playback
from aura_ros.recordings.bags import Bag
from aura_ros.replay.steps.align import Observations
from aura_ros.replay.steps.clocks import Clock, clock_topics
from aura_ros.replay.steps.episodes import EpisodeNames
from aura_ros.ros.parameters import ParameterSet
from aura_ros.vla.instruction import usable_instruction

# Time until an observation without an answer is sent again [s].
_AGAIN_S = 1.0
# Longest wait for answers after the last message [s].
_SETTLE_S = 3.0


class Player:
    """Plays one recording to the graph."""

    def __init__(self, graph: PlayerGraph, config: PlayerConfig, playback: Playback, log: RcutilsLogger) -> None:
        """Play `playback` to `graph`, and write to `log`."""
        self._graph, self._config, self._playback, self._log = graph, config, playback, log
        self._now_ns = 0

    def run(self) -> None:
        """Play the recording.

        Raises:
            PlayerError: a node is missing or does not answer.
            BagError: the recording has nothing to play.
            SharedGraphError: the graph has other sources of inputs, or a robot.
        """
        graph, config = self._graph, self._config
        if not config.allow_shared_graph:
            spec = self._playback.spec
            graph.require_alone(spec.cameras if spec is not None else (), config.source)
        graph.open_clock()
        try:
            self._play()
        except BaseException:
            graph.abandon_episode()
            raise

    def _play(self) -> None:
        graph, config = self._graph, self._config
        how = 'lock-step' if config.lockstep else f'real time x {config.rate:g}'
        self._log.info(f'playing the {config.source} of {self._playback.bag.path} in {how}')
        if config.source == 'steps':
            self._play_steps()
        elif config.lockstep:
            self._play_observations()
        else:
            self._play_streams()
        graph.end_episode()
        for note in self._playback.bag.notes:
            self._log.warning(note)
        graph.spin_until(lambda: graph.write_events >= graph.writes, _SETTLE_S)
        state = f', state CRC-32 {graph.last_crc:08x} after the last write' if graph.writes else ''
        self._log.info(f'{graph.steps} steps, {graph.writes} writes{state}')

    def _play_observations(self) -> None:
        """Publish each observation as one set and wait for the answers."""
        graph, playback, spec = self._graph, self._playback, self._playback.spec
        assert spec is not None
        found = Observations(playback.bag, playback.mapping, spec, playback.begin_ns, playback.end_ns)
        graph.open_inputs({image_topic(camera): Image for camera in spec.cameras})
        graph.wait_for(graph.missing, self._config.start_timeout_s)
        episode = None
        for recorded in found:
            self._tick(recorded.stamp_ns)
            if recorded.episode != episode:
                graph.end_episode()
                graph.begin_episode(recorded.observation.instruction, self._config.start_timeout_s)
                episode = recorded.episode
            graph.instruct(recorded.observation.instruction)
            done = partial(self._stepped, recorded.stamp_ns, dict(graph.answered))
            what = f'the observation at {recorded.stamp_ns * 1e-9:.3f} s'
            self._until(done, observation_messages(recorded, spec), what)
        if episode is None:
            raise BagError(f'{playback.bag.path} gives no observation: run aura replay on it for the reasons')
        for note in found.report.notes:
            self._log.warning(note)

    def _stepped(self, stamp_ns: int, before: dict[str, Any]) -> bool:
        """Whether vla_node has published its step of `stamp_ns`, and each policy has answered since `before`."""
        graph = self._graph
        return graph.step_stamp_ns == stamp_ns and all(
            graph.answered.get(policy) != before.get(policy) for policy in graph.policies
        )

    def _play_steps(self) -> None:
        """Publish each recorded step, and in lock-step wait for the answers."""
        graph, playback, config = self._graph, self._playback, self._config
        topics = [playback.mapping.steps]
        graph.open_steps()
        graph.wait_for(lambda: graph.missing(config.step_subscribers), config.start_timeout_s)
        clock = Clock(playback.bag, playback.mapping, topics)
        pace = Pace(graph, config.rate, self._tick, self._log)
        done: Callable[[], bool] | None = None
        for sample in map(clock.dated, playback.samples(topics)):
            message = sample.message
            done = partial(self._answered, (message.episode_id, message.seq))
            if config.lockstep:
                self._tick(sample.stamp_ns)
                self._until(done, {'vla_step': serialised(message)}, f'step {message.seq} of {message.episode_id}')
            else:
                pace.wait(sample.log_ns + clock.offset_ns)
                graph.publish({'vla_step': serialised(message)})
        if done is not None:
            graph.spin_until(done, _SETTLE_S)

    def _answered(self, step: tuple[str, int]) -> bool:
        return all(self._graph.answered.get(policy) == step for policy in self._graph.policies)

    def _until(self, done: Callable[[], bool], messages: Messages, what: str) -> None:
        """Publish messages until they are answered.

        Raises:
            PlayerError: there is no answer for `stall_timeout_s`.
        """
        graph, patience_s = self._graph, self._config.stall_timeout_s
        end = time.monotonic() + patience_s
        while time.monotonic() < end:
            graph.publish(messages)
            if graph.spin_until(done, _AGAIN_S):
                return
            graph.tick(self._now_ns)
        silent = ', '.join(graph.missing()) or 'vla_node or a memory'
        raise PlayerError(f'{silent} did not answer {what} within {patience_s:g} s: see /diagnostics')

    def _play_streams(self) -> None:
        """Publish the messages at their recorded times."""
        graph, playback, config = self._graph, self._playback, self._config
        spec = playback.spec
        assert spec is not None
        streams = Streams(playback.bag, playback.mapping, spec)
        remap, names = streams.unchanged(), EpisodeNames(playback.bag, playback.mapping)
        # `ros2 bag play` cannot wait between two episodes until vla_node has begun the next one.
        ros2 = bag_play.chosen('own' if config.player == 'auto' and names.several else config.player, remap)
        if ros2 and names.several:
            self._log.warning('ros2 bag play plays all episodes of the recording as one: set player:=own')
        clock = Clock(playback.bag, playback.mapping, clock_topics(playback.mapping))
        if ros2 and clock.offset_ns:
            seconds = clock.offset_ns * 1e-9
            self._log.warning(f'stamps differ from log times by {seconds:.0f} s; ros2 bag play publishes log times')
        # Also with ros2 bag play: vla_node subscribes a compressed topic only when it has a publisher.
        graph.open_inputs(streams.images)
        if ros2:
            graph.expect_bag_player()
        else:
            self._tick(playback.begin_ns + clock.offset_ns)
        graph.wait_for(graph.missing, config.start_timeout_s)
        instruction = instruction_at_start(playback.bag, playback.mapping, playback.begin_ns)
        graph.instruct(instruction)
        graph.begin_episode(instruction, config.start_timeout_s)
        if ros2 and remap is not None:
            span_ns = (playback.begin_ns - playback.bag.begin_ns, playback.end_ns - playback.begin_ns)
            remap = {name: graph.resolved(ours) for name, ours in remap.items()}
            bag_play.play(playback.bag.path, remap, config.rate, span_ns, graph.spin_until)
        else:
            self._play_samples(streams, names, instruction, clock)
        graph.spin_until(lambda: False, _AGAIN_S)

    def _play_samples(self, streams: Streams, names: EpisodeNames, instruction: str, clock: Clock) -> None:
        """Publish the messages of the recording. A picture of the first camera can begin the next episode."""
        graph, mapping = self._graph, self._playback.mapping
        assert self._playback.spec is not None
        reference = mapping.cameras[self._playback.spec.cameras[0]]
        pace = Pace(graph, self._config.rate, self._tick, self._log)
        unusable, episode = 0, None
        for sample in map(clock.dated, self._playback.samples(streams.topics)):
            # The offset follows the delays of single messages, but time does not run backwards.
            at_ns = max(self._now_ns, sample.log_ns + clock.offset_ns)
            # Before the wait, because the first conversion of a type takes long.
            try:
                messages = dict(streams.messages(sample))
            except InputError as error:
                messages = {}
                unusable += 1
                self._log.warning(f'{sample.topic}: {error}', throttle_duration_sec=5.0)
            pace.wait(at_ns)
            if sample.topic == mapping.instruction.topic:
                instruction = usable_instruction(sample.message.data) or instruction
                graph.instruct(instruction)
            if sample.topic == reference and episode != (name := names.at(sample.stamp_ns, sample.log_ns)):
                if episode is not None:
                    graph.end_episode()
                    graph.begin_episode(instruction, self._config.start_timeout_s)
                    pace.resume(at_ns)
                episode = name
            graph.publish(messages)
        if unusable:
            self._log.warning(f'{unusable} messages of the recording could not be used')

    def _tick(self, now_ns: int) -> None:
        self._now_ns = now_ns
        self._graph.tick(now_ns)


def _run(node: Node, executor: SingleThreadedExecutor) -> None:
    config = ParameterSet(node, PlayerConfig).read()
    config.check()
    with Bag(Path(config.bag).expanduser()) as bag:
        playback = find_playback(config, bag, node.get_logger())
        Player(PlayerGraph(node, executor, config.policies), config, playback, node.get_logger()).run()


@program('player')
def main(args: list[str] | None = None) -> int:
    """Play a recording and return the exit code."""
    # Signals stay with Python, so that the player can still cancel its episode.
    rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
    end_on_signals()
    # The node itself does not use /clock, because it publishes it.
    node = rclpy.create_node('player')
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    try:
        _run(node, executor)
    finally:
        executor.shutdown()
        node.destroy_node()
        rclpy.try_shutdown()
    return 0
