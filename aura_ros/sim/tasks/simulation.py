# SPDX-License-Identifier: Apache-2.0
"""The episode: rounds one after another, the flashes of the lamp beside them, and the random numbers of both.

Each round has two generators of its own, one for what happens in it and one for the flashes of the lamp. They depend
on the task, the split, the seed and the number of the round, and on nothing that the robot did. So all policies have
the same rounds. Where one takes longer, it sees more flashes at the end of that round, and nothing else differs.
No two splits, seeds, tasks or rounds share a random stream. Where an episode has several tasks, a third generator of
the round draws its task.
"""

from collections.abc import Callable, Generator, Iterator, Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from aura_ros.common.errors import ConfigError
from aura_ros.common.names import TASKS, EventKind, names_in
from aura_ros.sim.tasks import single
from aura_ros.sim.tasks.both import both
from aura_ros.sim.tasks.many import many, shown_in
from aura_ros.sim.tasks.sequence import sequence
from aura_ros.sim.tasks.stage import GRASP_TASKS, Event, Round, Script, Stage, wait
from aura_ros.sim.tasks.visible import draw_lamps, visible_both, visible_many, visible_sequence
from aura_ros.sim.world import BLOCKS, COLOURS, CONTROL_PERIOD, DARK, FINGER_OPEN, JOINT_NAMES, PARCEL, World

Floats = NDArray[np.float64]

SPLITS = ('train', 'validation', 'evaluation')
ROUNDS: Mapping[str, Round] = MappingProxyType(
    {
        'recall': single.recall,
        'put_back': single.put_back,
        'visible': single.visible,
        'place': single.place,
        'sequence': sequence,
        'both': both,
        'many': many,
        'visible_sequence': visible_sequence,
        'visible_both': visible_both,
        'visible_many': visible_many,
    }
)
"""What happens in a round, by task."""
SHOWN: Mapping[str, Callable[[np.random.Generator], dict[str, str]]] = MappingProxyType(
    {'many': shown_in, 'visible_many': draw_lamps}
)
"""What the three lamps show in a round, for the tasks that use them."""

FLASH_S = 0.5
FLASH_GAP_S = (0.5, 3.0)
RETREAT_S = 1.2
_SCRIPT, _LAMP = 0, 1  # the generators of a round


class Simulation(Stage):
    """The world and the episode that runs in it, one control tick at a time.

    Args:
        task: one of TASKS, or several, comma-separated. Of several, the task of each round is drawn.
        split: one of SPLITS.
        seed: index within the split, >= 0.
        rounds: rounds in the episode, >= 1.
        world: existing world to reset and use; None makes a new one.
        first: number of the first round, >= 0. The rounds before it are left out.

    Raises:
        ConfigError: an argument is outside its range.
    """

    dt = CONTROL_PERIOD
    joint_names = JOINT_NAMES

    def __init__(
        self, task: str, split: str, seed: int, rounds: int, world: World | None = None, first: int = 0
    ) -> None:
        self._tasks = names_in(task, TASKS, f'task = {task!r}')
        if split not in SPLITS:
            raise ConfigError(f'split = {split!r}, allowed: {", ".join(SPLITS)}')
        for name, value, low in (('seed', seed, 0), ('rounds', rounds, 1), ('first', first, 0)):
            if value < low:
                raise ConfigError(f'{name} = {value}, allowed: integers >= {low}')
        super().__init__(world or World())
        self.rounds, self.done = rounds, False
        self._split, self._seed = SPLITS.index(split), seed
        self._first, self._last_round = first, first + rounds - 1
        self.task = self._task_of(first)
        self.world.reset(FINGER_OPEN if self.task in GRASP_TASKS else 0.0)
        self._script = self._run_episode()
        self._advance()
        self.initial_events = self._take_events()

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

    @property
    def end_effector_pose(self) -> tuple[Floats, Floats]:
        """Measured position [m], float64 [3], and rotation matrix, float64 [3, 3], of the tip in the base frame."""
        return self.world.tip, self.world.tip_rotation

    def render(self, camera: str) -> NDArray[np.uint8]:
        """Return an image of the camera 'front' or 'wrist': uint8 [128, 128, 3], RGB."""
        return self.world.render(camera)

    def close(self) -> None:
        """End the episode and free the renderer."""
        self.done = True
        # The generators and this object refer to each other. Without a close, the garbage collector frees them late,
        # possibly after hundreds of simulations.
        self._script.close()
        self._lamp.close()
        self.world.close()

    def _take_events(self) -> tuple[Event, ...]:
        events, self._events = tuple(self._events), []
        return events

    def _advance(self) -> None:
        if next(self._script, None) is None:
            self.done = True
        else:
            next(self._lamp)

    def _task_of(self, number: int) -> str:
        """Return the task of a round; the same generator draws it in every episode of these tasks."""
        if len(self._tasks) == 1:
            return self._tasks[0]
        return str(self._generator(self._split, number).choice(self._tasks))

    def _round_generator(self, number: int, stream: int) -> np.random.Generator:
        return self._generator(self._split, TASKS.index(self._task_of(number)), number, stream)

    def _generator(self, *key: int) -> np.random.Generator:
        return np.random.default_rng(np.random.SeedSequence(self._seed, spawn_key=key))

    def _run_episode(self) -> Generator[bool, None, None]:
        for number in range(self._first):
            if self._task_of(number) in SHOWN:
                self.shown |= SHOWN[self._task_of(number)](self._round_generator(number, _SCRIPT))
        for number in range(self._first, self._last_round + 1):
            self.round, self.task = number, self._task_of(number)
            self._clear()
            self._lamp = self._run_lamp(self._round_generator(number, _LAMP))
            yield from ROUNDS[self.task](self, self._round_generator(number, _SCRIPT))
            self.world.set_light('beacon', DARK)
            self.world.set_light('go_sign', DARK)
            self.goal = None
            if self.round < self._last_round:
                yield from self._retreat()

    def _clear(self) -> None:
        """Take everything off the table; the task of the round puts there what it needs."""
        for index, name in enumerate((*BLOCKS, PARCEL)):
            self.world.park(name, index)
        self.world.show_pads(False)
        self.world.show_lamps(False)
        self.world.set_light('lamp', DARK)

    def _retreat(self) -> Script:
        """Give the robot time to go home. If the hand still holds the parcel, open the hand and remove the parcel."""
        for _ in wait(RETREAT_S):
            if self.hand_is_full:
                self.world.park(PARCEL)
                self.world.open_hand()
            yield True
        self.hand_is_full = False

    def _run_lamp(self, rng: np.random.Generator) -> Generator[None, None, None]:
        """Let the lamp flash, which no action depends on."""
        while True:
            yield from _idle(rng.uniform(*FLASH_GAP_S))
            colour = str(rng.choice(BLOCKS))
            self.world.set_light('lamp', COLOURS[colour])
            self.emit(EventKind.DISTRACTOR, colour)
            yield from _idle(FLASH_S)
            self.world.set_light('lamp', DARK)


def _idle(seconds: float) -> Iterator[None]:
    for _ in wait(seconds):
        yield
