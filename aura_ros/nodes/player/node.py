# SPDX-License-Identifier: Apache-2.0
"""player: a recording through the real nodes, in the place of cameras, joints and clock.

In lock-step each observation that the alignment of the offline replay finds (replay/steps/align.py) is published
with one stamp, and the next waits until vla_node has made its step and the memories have answered it: so each replay
gives the same steps, however busy the machine is. In real time the messages go out as they were recorded, `rate` times
as fast; what does not come in time is dropped, as on a robot. With `source` steps the recorded VlaSteps are played and
the player stands in for vla_node.

It is a client that ends by itself, like the panel. Executor thread only. /clock says the recording's time.
"""

import time
from collections.abc import Callable
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node

from aura_ros.common.errors import BagError, InputError
from aura_ros.common.program import INTERRUPTED, program
from aura_ros.nodes.player import bag_play
from aura_ros.nodes.player.graph import PlayerError, PlayerGraph
from aura_ros.nodes.player.messages import (
    Streams,
    clock_offset_ns,
    instruction_at_start,
    observation_messages,
    serialised,
)
from aura_ros.nodes.player.playback import Pace, Playback, PlayerConfig, find_tape
from aura_ros.recordings.bags import Bag
from aura_ros.replay.steps.align import Observations
from aura_ros.ros.parameters import ParameterSet

# An observation that is not answered is sent again after [s].
_AGAIN_S = 1.0
# What may still be under way when the last message is out [s].
_SETTLE_S = 3.0
# Samples that tell whether the recorder had the clock of the stamps.
_PROBE = 50


class Player:
    """Plays one tape on the graph."""

    def __init__(self, graph: PlayerGraph, config: PlayerConfig, tape: Playback, log: Any) -> None:
        """Play `tape` on `graph`, saying to `log` what happens."""
        self._graph, self._config, self._tape, self._log = graph, config, tape, log
        self._now_ns = 0

    def run(self) -> None:
        """Play all of it.

        Raises:
            PlayerError: a node is missing or does not answer.
            BagError: the recording lacks what is to be played.
        """
        graph, config = self._graph, self._config
        how = 'lock-step' if config.lockstep else f'real time x {config.rate:g}'
        self._log.info(f'playing the {config.source} of {self._tape.bag.path} in {how}')
        if config.source == 'steps':
            self._play_steps()
        elif config.lockstep:
            self._play_Observations()
        else:
            self._play_streams()
        graph.end_episode()
        graph.spin_until(lambda: graph.events >= graph.written, _SETTLE_S)
        said = f'{graph.steps} steps, {graph.written} writes'
        self._log.info(said + (f', state CRC-32 {graph.last_crc:08x} after the last' if graph.written else ''))

    # In lock-step. --------------------------------------------------------------------------------
    def _play_Observations(self) -> None:
        """Give each observation as one set and wait for the answers to it."""
        graph, tape = self._graph, self._tape
        found = Observations(tape.bag, tape.mapping, tape.spec, tape.begin_ns, tape.end_ns)
        graph.open_inputs(tape.spec.cameras, 'raw')
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
            self._until(done, observation_messages(recorded, tape.spec), what)
        if episode is None:
            raise BagError(f'{tape.bag.path} gives no observation: aura replay says why')
        for note in found.report.notes:
            self._log.warning(note)

    def _stepped(self, stamp_ns: int, before: dict[str, Any]) -> bool:
        """Whether vla_node has made its step of `stamp_ns`, and each policy has told of a step after `before`."""
        graph = self._graph
        return graph.made == stamp_ns and all(
            graph.answered.get(policy) != before.get(policy) for policy in graph.policies
        )

    def _play_steps(self) -> None:
        """Give each recorded step; in lock-step wait for the answers to it."""
        graph, tape, config = self._graph, self._tape, self._config
        topics = [tape.mapping.steps]
        graph.open_steps()
        graph.wait_for(lambda: graph.missing(config.step_subscribers), config.start_timeout_s)
        offset_ns = self._offset_ns(topics)
        pace = Pace(graph, config.rate, self._tick)
        done: Callable[[], bool] = lambda: True  # noqa: E731
        for sample in tape.samples(topics):
            message = sample.message
            done = partial(self._answered, (message.episode_id, message.seq))
            if config.lockstep:
                self._tick(sample.stamp_ns)
                self._until(done, {'vla_step': serialised(message)}, f'step {message.seq} of {message.episode_id}')
            else:
                pace.wait(sample.log_ns + offset_ns)
                graph.publish({'vla_step': serialised(message)})
        graph.spin_until(done, _SETTLE_S)

    def _answered(self, step: tuple[str, int]) -> bool:
        return all(self._graph.answered.get(policy) == step for policy in self._graph.policies)

    def _until(self, done: Callable[[], bool], messages: Any, what: str) -> None:
        """Publish until it is answered.

        Raises:
            PlayerError: it is not, for `stall_timeout_s`.
        """
        graph, patience_s = self._graph, self._config.stall_timeout_s
        end = time.monotonic() + patience_s
        while time.monotonic() < end:
            graph.publish(messages)
            if graph.spin_until(done, _AGAIN_S):
                return
            graph.tick(self._now_ns)
        silent = ', '.join(graph.missing()) or 'vla_node or a memory'
        raise PlayerError(f'{what} was not answered for {patience_s:g} s by {silent}: /diagnostics says why')

    # In real time. --------------------------------------------------------------------------------
    def _play_streams(self) -> None:
        """Give the messages as they were recorded."""
        graph, tape, config = self._graph, self._tape, self._config
        streams = Streams(tape.bag, tape.mapping, tape.spec, config.camera_transport)
        remap = streams.unchanged()
        ros2 = bag_play.chosen(config.player, remap)
        offset_ns = self._offset_ns(streams.topics)
        if ros2 and offset_ns:
            self._log.warning(f'stamps are {offset_ns * 1e-9:.0f} s off the log times, which ros2 bag play has as time')
        if ros2:
            graph.open_client()
        else:
            graph.open_inputs(tape.spec.cameras, config.camera_transport)
            self._tick(tape.begin_ns + offset_ns)
        graph.wait_for(graph.missing, config.start_timeout_s)
        instruction = instruction_at_start(tape.bag, tape.mapping)
        graph.instruct(instruction)
        graph.begin_episode(instruction, config.start_timeout_s)
        if ros2:
            span_ns = (tape.begin_ns - tape.bag.begin_ns, tape.end_ns - tape.begin_ns)
            bag_play.play(tape.bag.path, remap, config.rate, span_ns, graph.spin_until)
        else:
            self._play_samples(streams, offset_ns)
        graph.spin_until(lambda: False, _AGAIN_S)

    def _play_samples(self, streams: Streams, offset_ns: int) -> None:
        graph, tape = self._graph, self._tape
        pace = Pace(graph, self._config.rate, self._tick)
        unusable = 0
        for sample in tape.samples(streams.topics):
            pace.wait(sample.log_ns + offset_ns)
            if sample.topic == tape.mapping.instruction.topic:
                graph.instruct(sample.message.data)
            try:
                graph.publish(dict(streams.messages(sample)))
            except InputError as error:
                unusable += 1
                self._log.warning(f'{sample.topic}: {error}', throttle_duration_sec=5.0)
        if unusable:
            self._log.warning(f'{unusable} messages of the recording could not be used')

    def _offset_ns(self, topics: list[str]) -> int:
        return clock_offset_ns(list(islice(self._tape.samples(topics), _PROBE)))

    def _tick(self, now_ns: int) -> None:
        self._now_ns = now_ns
        self._graph.tick(now_ns)


def _run(node: Node, executor: SingleThreadedExecutor) -> None:
    config = ParameterSet(node, PlayerConfig).read()
    config.check()
    with Bag(Path(config.bag).expanduser()) as bag:
        tape = find_tape(config, bag, node.get_logger())
        Player(PlayerGraph(node, executor, config.policies), config, tape, node.get_logger()).run()


@program('player')
def main(args: list[str] | None = None) -> int:
    """Play a recording and return the exit code."""
    rclpy.init(args=args)
    # Its own time is nobody's but the recording's, which it tells the others.
    node = rclpy.create_node('player')
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    try:
        _run(node, executor)
    except ExternalShutdownException:
        return INTERRUPTED
    finally:
        executor.shutdown()
        node.destroy_node()
        rclpy.try_shutdown()
    return 0
