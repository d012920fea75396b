# SPDX-License-Identifier: Apache-2.0
"""Closed-loop episodes in one process, without ROS, with the policies and the timing of the graph."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from aura_ros.common.names import EventKind
from aura_ros.memory import Memory, MemorySession, Step
from aura_ros.sim.tasks import Event, Simulation
from aura_ros.sim.world import CAMERAS, World
from aura_ros.vla.protocol import Backbone


@dataclass
class Outcome:
    """The result of one episode."""

    successes: list[bool] = field(default_factory=list)
    """Whether each round was solved."""
    written: list[float] = field(default_factory=list)
    """Simulation times of the steps that wrote [s]."""
    gates: list[tuple[float, float]] = field(default_factory=list)
    """Simulation time [s] and gate score of every step."""
    events: list[Event] = field(default_factory=list)
    """Task events in order."""
    state_bytes: int = 0
    """Size of the state at the end [B]."""

    @property
    def writes_per_round(self) -> float:
        """Mean number of writes per round [1]."""
        return len(self.written) / max(1, len(self.successes))


def run_episode(
    task: str,
    split: str,
    seed: int,
    rounds: int,
    backbone: Backbone,
    memory: Memory,
    world: World | None = None,
    on_round: Callable[[Outcome], None] | None = None,
) -> Outcome:
    """Run one non-resetting episode with a memory in the loop.

    Args:
        task: task of the simulation.
        split: split of the seeds.
        seed: index in the split.
        rounds: number of rounds.
        backbone: frozen backbone.
        memory: reset at the start of the episode, and then never again.
        world: world to reuse; None creates one.
        on_round: called after each round.
    """
    simulation = Simulation(task, split, seed, rounds, world)
    session = MemorySession(memory)
    outcome = Outcome(events=list(simulation.initial_events))
    chunk: NDArray[np.float32] | None = None
    tick = 0
    while not simulation.done:
        index = tick % backbone.spec.n_action_steps
        if index == 0:
            images = {camera: simulation.render(camera) for camera in CAMERAS}
            measured = simulation.joint_positions.astype(np.float32)
            observation = backbone.spec.observation(images, measured, simulation.instruction)
            output = backbone.infer(observation)
            step = Step(
                'rollout',
                tick // backbone.spec.n_action_steps,
                1 + round(simulation.time * 1e9),
                output.features,
                output.actions,
                backbone.spec.seconds_per_action,
                backbone_hash=backbone.spec.backbone_hash,
                components=backbone.spec.components,
            )
            decision = session.apply(step).decision
            outcome.gates.append((simulation.time, decision.gate))
            if decision.written:
                outcome.written.append(simulation.time)
            chunk = decision.action
        assert chunk is not None
        for event in simulation.step(chunk[index].astype(np.float64)):
            outcome.events.append(event)
            if event.kind in (EventKind.ROUND_SUCCESS, EventKind.ROUND_FAILURE):
                outcome.successes.append(event.kind == EventKind.ROUND_SUCCESS)
                if on_round is not None:
                    on_round(outcome)
        tick += 1
    outcome.state_bytes = memory.state_bytes
    return outcome
