# SPDX-License-Identifier: Apache-2.0
"""The tasks of the embedded robot: one long, non-resetting episode of many rounds.

recall     The beacon shows a colour for half a second and goes dark for 2-20 s, while the lamp flashes other
           colours and the blocks may change places. When the go sign appears, the robot has to touch the block
           of the beacon's colour. The cue may appear a second time.
put_back   A parcel stands on one of three pads and is moved away. 2-20 s later the robot has to put it back.
visible    Needs no memory: the beacon stays lit until the touch, or the instruction names the colour.
place      Needs no memory: the instruction names the pad. Only for training the VLA.

A round is a generator that runs once per control tick, so a task reads from top to bottom in the order of time.
The three splits share no random stream: each (split, seed) has its own.
"""

from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from aura_ros.common.errors import ConfigError
from aura_ros.common.names import TASKS, EventKind
from aura_ros.sim.world import BLOCKS, COLOURS, CONTROL_PERIOD, DARK, FINGER_OPEN, GO, JOINT_NAMES, PARCEL, World

Floats = NDArray[np.float64]

SPLITS = ('train', 'validation', 'evaluation')
GRASP_TASKS = ('put_back', 'place')

CUE_S = 0.5
DELAY_S = (2.0, 20.0)
FLASH_S = 0.5
FLASH_GAP_S = (0.5, 3.0)
RETREAT_S = 1.2
TOUCH_LIMIT_S = 6.0
PLACE_LIMIT_S = 10.0
REPEAT_PROBABILITY = 0.3
RESHUFFLE_PROBABILITY = 0.5

PADS: Mapping[str, tuple[float, float]] = MappingProxyType(
    {'left': (0.52, 0.19), 'middle': (0.52, 0.0), 'right': (0.52, -0.19)}
)
RECALL_TEXT = 'touch the block that has the colour of the beacon'
PUT_BACK_TEXT = 'put the block back where it stood'
TOUCH_TEXTS = ('touch the {} block', 'press the {} block', 'reach for the {} block')
PLACE_TEXTS = ('put the block on the {} pad', 'place the block on the {} pad')


@dataclass(frozen=True)
class Event:
    """One event of the task."""

    kind: EventKind
    time: float
    """Simulation time [s]."""
    task: str
    round: int
    """Round of the episode, from 0."""
    colour: str = ''
    """Colour of the cue, the lamp or the touched block; empty if there is none."""
    last: bool = False
    """True for the event that ends the episode."""


@dataclass(frozen=True)
class Goal:
    """The goal of the present round, for the expert; one of the fields is set."""

    touch: str | None = None
    """Colour of the block to touch."""
    pad: tuple[float, float] | None = None
    """Position for the parcel [m]."""


def ticks(seconds: float) -> int:
    """Return the number of control ticks in a time [s]."""
    return max(1, round(seconds / CONTROL_PERIOD))


class Simulation:
    """The world and the episode that runs in it, one control tick at a time.

    Args:
        task: one of TASKS.
        split: one of SPLITS.
        seed: index within the split, >= 0.
        rounds: rounds in the episode, >= 1.
        world: existing world to reset and use; None makes a new one.

    Raises:
        ConfigError: an argument is outside its range.
    """

    dt = CONTROL_PERIOD
    joint_names = JOINT_NAMES

    def __init__(self, task: str, split: str, seed: int, rounds: int, world: World | None = None) -> None:
        _check('task', task, TASKS)
        _check('split', split, SPLITS)
        if seed < 0:
            raise ConfigError(f'seed = {seed}, allowed: integers >= 0')
        if rounds < 1:
            raise ConfigError(f'rounds = {rounds}, allowed: integers >= 1')
        self.task, self.rounds, self.round = task, rounds, 0
        self.world = world or World()
        self.world.reset(FINGER_OPEN if task in GRASP_TASKS else 0.0)
        self.instruction = ''
        self.goal: Goal | None = None
        self.done = False
        self._hand_is_full = False
        self._tick = 0
        self._rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(SPLITS.index(split),)))
        self._events: list[Event] = []
        self._lamp = self._run_lamp()
        self._script = self._run_episode()
        self._advance()
        self.initial_events = self._take_events()

    @property
    def time(self) -> float:
        """Simulation time [s]; 0 at the start, a multiple of dt."""
        return self._tick * CONTROL_PERIOD

    def step(self, target: Floats) -> tuple[Event, ...]:
        """Advance one control tick (50 ms).

        Args:
            target: joint targets, float [8] [rad, m].

        Returns:
            Events of this tick. `done` is True afterwards if the episode has ended.
        """
        self.world.step(target)
        self._tick += 1
        if not self.done:
            self._advance()
        return self._take_events()

    @property
    def joint_positions(self) -> Floats:
        """Measured joint positions, float64 [8] [rad, m]."""
        return self.world.joint_positions

    @property
    def joint_velocities(self) -> Floats:
        """Measured joint velocities, float64 [8] [rad/s, m/s]."""
        return self.world.joint_velocities

    def render(self, camera: str) -> NDArray[np.uint8]:
        """Return an image of the camera 'front' or 'wrist': uint8 [128, 128, 3], RGB."""
        return self.world.render(camera)

    def close(self) -> None:
        """End the episode and free the renderer."""
        self.done = True
        # The generators and this object refer to each other. Without a close, the garbage collector frees them late,
        # possibly after hundreds of simulations.
        self._lamp.close()
        self._script.close()
        self.world.close()

    def _take_events(self) -> tuple[Event, ...]:
        events, self._events = tuple(self._events), []
        return events

    def _advance(self) -> None:
        next(self._lamp)
        if next(self._script, None) is None:
            self.done = True

    def _emit(self, kind: EventKind, colour: str = '', last: bool = False) -> None:
        self._events.append(Event(kind, self.time, self.task, self.round, colour, last))

    def _run_episode(self) -> Generator[bool, None, None]:
        run: Callable[[], Iterator[bool]] = getattr(self, f'_run_{self.task}')
        for number in range(self.rounds):
            self.round = number
            yield from run()
            self.world.set_light('beacon', DARK)
            self.world.set_light('go_sign', DARK)
            self.goal = None
            if self.round + 1 < self.rounds:
                yield from self._retreat()

    def _retreat(self) -> Iterator[bool]:
        """Give the robot time to go home. If the hand still holds the parcel, open the hand and remove the parcel."""
        for _ in _wait(RETREAT_S):
            if self._hand_is_full:
                self.world.park(PARCEL)
                self.world.open_hand()
            yield True
        self._hand_is_full = False

    def _run_lamp(self) -> Generator[None, None, None]:
        while True:
            for _ in _wait(self._rng.uniform(*FLASH_GAP_S)):
                yield
            colour = str(self._rng.choice(BLOCKS))
            self.world.set_light('lamp', COLOURS[colour])
            self._emit(EventKind.DISTRACTOR, colour)
            for _ in _wait(FLASH_S):
                yield
            self.world.set_light('lamp', DARK)

    def _run_recall(self) -> Iterator[bool]:
        self.instruction = RECALL_TEXT
        colour = str(self._rng.choice(BLOCKS))
        self._lay_out_blocks()
        yield from self._show_cue(EventKind.CUE, colour)
        delay = self._draw_delay()
        planned: dict[int, Callable[[], Iterator[bool]]] = {}
        if self._rng.random() < REPEAT_PROBABILITY:
            planned[ticks(self._rng.uniform(0.3, 0.5) * delay)] = lambda: self._show_cue(EventKind.CUE_REPEAT, colour)
        if self._rng.random() < RESHUFFLE_PROBABILITY:
            planned[ticks(self._rng.uniform(0.1, 0.9) * delay)] = self._reshuffle
        yield from self._wait_with(ticks(delay), planned)
        yield from self._await_touch(colour)

    def _run_visible(self) -> Iterator[bool]:
        colour = str(self._rng.choice(BLOCKS))
        self._lay_out_blocks()
        if self._rng.random() < 0.5:
            self.instruction = RECALL_TEXT
            self.world.set_light('beacon', COLOURS[colour])
            self._emit(EventKind.CUE, colour)
        else:
            self.instruction = str(self._rng.choice(TOUCH_TEXTS)).format(colour)
        yield from _wait(self._rng.uniform(1.0, 2.0))
        yield from self._await_touch(colour)

    def _run_put_back(self) -> Iterator[bool]:
        self.instruction = PUT_BACK_TEXT
        pad = str(self._rng.choice(list(PADS)))
        self.world.show_pads(True)
        self.world.place(PARCEL, *PADS[pad], yaw=self._rng.uniform(-0.15, 0.15))
        self._emit(EventKind.CUE, pad)
        yield from _wait(1.0)
        self._move_parcel_away()
        self._emit(EventKind.RESHUFFLE)
        yield from _wait(self._draw_delay())
        yield from self._await_place(PADS[pad], pad)

    def _run_place(self) -> Iterator[bool]:
        pad = str(self._rng.choice(list(PADS)))
        self.instruction = str(self._rng.choice(PLACE_TEXTS)).format(pad)
        self.world.show_pads(True)
        self._move_parcel_away()
        yield from _wait(self._rng.uniform(1.0, 2.0))
        yield from self._await_place(PADS[pad], pad)

    def _draw_delay(self) -> float:
        low, high = np.log(DELAY_S)
        return float(np.exp(self._rng.uniform(low, high)))

    def _lay_out_blocks(self) -> None:
        for name, slot in zip(BLOCKS, self._rng.permutation(3), strict=True):
            y = 0.19 * (int(slot) - 1) + self._rng.uniform(-0.04, 0.04)
            self.world.place(name, self._rng.uniform(0.42, 0.54), y, self._rng.uniform(-0.3, 0.3))

    def _move_parcel_away(self) -> None:
        self.world.place(
            PARCEL, self._rng.uniform(0.36, 0.42), self._rng.uniform(-0.06, 0.06), self._rng.uniform(-0.15, 0.15)
        )

    def _reshuffle(self) -> Iterator[bool]:
        self._lay_out_blocks()
        self._emit(EventKind.RESHUFFLE)
        yield True

    def _show_cue(self, kind: EventKind, colour: str) -> Iterator[bool]:
        self.world.set_light('beacon', COLOURS[colour])
        self._emit(kind, colour)
        yield from _wait(CUE_S)
        self.world.set_light('beacon', DARK)

    def _wait_with(self, count: int, planned: Mapping[int, Callable[[], Iterator[bool]]]) -> Iterator[bool]:
        """Wait `count` ticks, and run each planned generator at its tick."""
        for tick in range(count):
            if tick in planned:
                yield from planned[tick]()
            yield True

    def _await_touch(self, colour: str) -> Iterator[bool]:
        self.goal = Goal(touch=colour)
        self.world.set_light('go_sign', GO)
        self._emit(EventKind.GO)
        for _ in _wait(TOUCH_LIMIT_S):
            yield True
            touched = self.world.touched()
            if touched:
                self._finish(touched == (colour,), touched[0])
                return
        self._finish(False, '')

    def _await_place(self, pad: tuple[float, float], name: str) -> Iterator[bool]:
        self.goal = Goal(pad=pad)
        self.world.set_light('go_sign', GO)
        self._emit(EventKind.GO)
        for _ in _wait(PLACE_LIMIT_S):
            yield True
            x, y, z = self.world.block_position(PARCEL)
            released = z < 0.03 and not self.world.touched()
            near = {other: np.hypot(x - px, y - py) < 0.035 for other, (px, py) in PADS.items()}
            if released and any(near.values()):
                self._finish(bool(near[name]), next(other for other in near if near[other]))
                return
        self._hand_is_full = True
        self._finish(False, '')

    def _finish(self, success: bool, colour: str) -> None:
        kind = EventKind.ROUND_SUCCESS if success else EventKind.ROUND_FAILURE
        self._emit(kind, colour, last=self.round + 1 == self.rounds)


def _wait(seconds: float) -> Iterator[bool]:
    for _ in range(ticks(seconds)):
        yield True


def _check(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ConfigError(f'{name} = {value!r}, allowed: {", ".join(allowed)}')
