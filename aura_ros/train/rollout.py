# SPDX-License-Identifier: Apache-2.0
"""Closed-loop episodes in one process, without ROS, with the policies and the timing of the graph."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from aura_ros.common.names import EventKind
from aura_ros.memory import Decision, Memory, MemorySession, Step
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


class PolicyDriver:
    """A backbone with a memory that drives a simulation, in the timing of the graph."""

    def __init__(self, simulation: Simulation, backbone: Backbone, memory: Memory) -> None:
        """Begin an episode.

        Args:
            simulation: at its start.
            backbone: frozen backbone.
            memory: reset at the first step, and then never again.
        """
        self._simulation, self._backbone = simulation, backbone
        self._session = MemorySession(memory)
        self._tick = 0
        self._chunk: NDArray[np.float32] | None = None

    def at_tick(self) -> Decision | None:
        """Apply a VLA step if one is due at this control tick; return what the memory decided, or None."""
        spec = self._backbone.spec
        seq, index = divmod(self._tick, spec.n_action_steps)
        self._tick += 1
        if index:
            return None
        simulation = self._simulation
        images = {camera: simulation.render(camera) for camera in CAMERAS}
        measured = simulation.joint_positions.astype(np.float32)
        output = self._backbone.infer(spec.observation(images, measured, simulation.instruction))
        step = Step(
            'rollout',
            seq,
            1 + round(simulation.time * 1e9),
            output.features,
            output.actions,
            spec.seconds_per_action,
            backbone_hash=spec.backbone_hash,
            components=spec.components,
        )
        decision = self._session.apply(step).decision
        self._chunk = decision.action
        return decision

    def target(self) -> NDArray[np.float64]:
        """Return the joint targets of this control tick, after `at_tick`: float64 [8] [rad, m]."""
        assert self._chunk is not None
        return self._chunk[(self._tick - 1) % self._backbone.spec.n_action_steps].astype(np.float64)


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
    driver = PolicyDriver(simulation, backbone, memory)
    outcome = Outcome(events=list(simulation.initial_events))
    while not simulation.done:
        if decision := driver.at_tick():
            outcome.gates.append((simulation.time, decision.gate))
            if decision.written:
                outcome.written.append(simulation.time)
        for event in simulation.step(driver.target()):
            outcome.events.append(event)
            if event.kind in (EventKind.ROUND_SUCCESS, EventKind.ROUND_FAILURE):
                outcome.successes.append(event.kind == EventKind.ROUND_SUCCESS)
                if on_round is not None:
                    on_round(outcome)
    outcome.state_bytes = memory.state_bytes
    return outcome
