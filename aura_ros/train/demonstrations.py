# SPDX-License-Identifier: Apache-2.0
"""Demonstrations: frames of the simulated arm, each with the actions that the expert would take.

The expert drives with the faults of `drivers.py`. The label of a frame is what the expert would do from there without
them: the collector runs the world ahead and restores it. With the disturbed motion as label, a policy of this size
hovers over the block and never learns to touch it.

Episodes can also be driven by a trained memory, with the same labels (DAgger, arXiv 1011.0686). They show the memory
what its own mistakes lead to: rounds that run out of time, touches of a wrong block, steps that no expert takes.

An episode file is an .npz file of plain arrays, with N frames, chunks of 8 actions, and images scaled to 64 px:
    front, wrist     uint8 [N, 64, 64, 3]  RGB
    joints           float32 [N, 8]        measured joint positions [rad, m]
    actions          float32 [N, 8, 8]     the expert's next 8 joint targets, undisturbed [rad, m]
    scene            float32 [N, S]        ground truth for the auxiliary loss, see `scene_labels`
    instruction      int64 [N]             index into `texts`
    texts            str [K]
    event            int64 [N]             EventKind of the latest task event since the last frame, -1 for none
    go               bool [N]              whether the go sign is on
    round            int64 [N]
    lamps            float32 [N, 3, 4]     colour of the left, middle and right lamp: dark, red, green, blue, one-hot
"""

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from aura_ros.common.console import make_console
from aura_ros.common.errors import ConfigError
from aura_ros.common.files import replace_arrays
from aura_ros.common.names import EventKind
from aura_ros.common.progress import Bar
from aura_ros.memory import load_memory
from aura_ros.memory.weights import load_weights
from aura_ros.sim.expert import Expert
from aura_ros.sim.tasks import Event, Simulation
from aura_ros.sim.world import BLOCKS, COLOURS, GO, PARCEL, SIDES, World
from aura_ros.train.drivers import Demonstrator, Driver, Faults
from aura_ros.train.rollout import PolicyDriver
from aura_ros.vla import load_backbone

CHUNK = 8
IMAGE = 64
LIGHTS = ('beacon', 'lamp')
Rgb = tuple[float, float, float]
SCENE_DIM = 4 * 4 + 2 * 4 + 1
LAMPS_DIM = 3 * 4


@dataclass(frozen=True)
class Weights:
    """A trained policy that drives."""

    kind: str
    """Kind of the memory."""
    memory: Path
    """Weights of the memory."""
    backbone: Path | None = None
    """Weights of the backbone; None means those that ship."""

    @property
    def hash(self) -> str:
        """SHA-256 of the weights of the memory, hex.

        Raises:
            ConfigError: if they cannot be used.
        """
        return load_weights(self.kind, str(self.memory)).sha256

    def policy(self) -> Callable[[Simulation], Driver]:
        """Load the weights, and return what makes a driver for a simulation.

        Raises:
            ConfigError: if they cannot be used.
        """
        backbone = load_backbone('embedded', str(self.backbone) if self.backbone else None)
        memory = load_memory(self.kind, str(self.memory))
        return lambda simulation: PolicyDriver(simulation, backbone, memory)


@dataclass(frozen=True)
class Collection:
    """One collection of episodes."""

    task: str
    """Task of the episodes."""
    split: str
    """'train' or 'validation'. The evaluation seeds are refused."""
    episodes: int
    """Number of episodes."""
    rounds: int
    """Rounds in each episode."""
    every: int
    """Control ticks between two frames."""
    first_seed: int = 0
    """Seed of the first episode. The others follow."""
    weights: Weights | None = None
    """What drives; None means that the expert drives."""
    faults: Faults = field(default_factory=Faults)
    """What the expert does wrong."""

    def __post_init__(self) -> None:
        if self.split == 'evaluation':
            raise ConfigError("split must be 'train' or 'validation': evaluation seeds are never trained on")

    @property
    def folder(self) -> str:
        """Name of the folder of these episodes. Episodes that a memory drives have a folder for its weights."""
        name = f'{self.split}-{self.task}'
        return name if self.weights is None else f'{driven_name(name, self.weights.kind)}{self.weights.hash[:12]}'


def driven_name(name: str, kind: str) -> str:
    """Return how the folders of episodes that memories of a kind have driven begin, beside the folder `name`."""
    return f'{name}-driven-{kind}-'


def scene_labels(world: World) -> NDArray[np.float32]:
    """Return the ground truth of the scene, float32 [25].

    For red, green, blue and the parcel: on the table (0 or 1), x, y, z [dm]; then beacon and lamp,
    one-hot each (dark, red, green, blue); then the go sign (0 or 1).
    """
    labels: list[float] = []
    for name in (*BLOCKS, PARCEL):
        x, y, z = world.block_position(name)
        there = x > -1
        labels += [1.0, 10 * x, 10 * y, 10 * z] if there else [0.0] * 4
    for light in LIGHTS:
        labels += _colour(world, light)
    labels.append(float(_is_colour(world.light('go_sign'), GO)))
    return np.asarray(labels, dtype=np.float32)


def lamp_labels(world: World) -> NDArray[np.float32]:
    """Return the colours of the three lamps of the task `many`, one-hot (dark, red, green, blue): float32 [3, 4]."""
    return np.asarray([_colour(world, f'lamp_{side}') for side in SIDES], dtype=np.float32)


def _colour(world: World, light: str) -> list[float]:
    rgb = world.light(light)
    lit = [_is_colour(rgb, COLOURS[name]) for name in BLOCKS]
    return [float(not any(lit)), *map(float, lit)]


def _is_colour(rgb: Rgb, other: Rgb) -> bool:
    return all(abs(a - b) < 1e-5 for a, b in zip(rgb, other, strict=True))


def shrink(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Scale an image by area averaging to the size of the backbone's input, uint8 [64, 64, 3]."""
    return np.asarray(cv2.resize(image, (IMAGE, IMAGE), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def collect_episode(
    collection: Collection, seed: int, world: World, policy: Callable[[Simulation], Driver] | None = None
) -> dict[str, Any]:
    """Run one episode and return its arrays. The module docstring lists them.

    Args:
        collection: what to collect.
        seed: seed of the episode.
        world: world to use.
        policy: makes what drives, for a simulation; None means that the expert drives.
    """
    simulation = Simulation(collection.task, collection.split, seed, collection.rounds, world)
    expert = Expert(simulation)
    driver: Driver = (
        policy(simulation) if policy else Demonstrator(simulation, expert, collection.every, collection.faults, seed)
    )
    frames: list[dict[str, Any]] = []
    texts: dict[str, int] = {}
    latest: tuple[Event, ...] = simulation.initial_events
    tick = 0
    while not simulation.done:
        if tick % collection.every == 0:
            frames.append(
                {
                    'front': shrink(simulation.render('front')),
                    'wrist': shrink(simulation.render('wrist')),
                    'joints': simulation.joint_positions.astype(np.float32),
                    'actions': expert.preview(CHUNK).astype(np.float32),
                    'scene': scene_labels(world),
                    'instruction': texts.setdefault(simulation.instruction, len(texts)),
                    'event': _main_event(latest),
                    'go': simulation.goal is not None,
                    'round': simulation.round,
                    'lamps': lamp_labels(world),
                }
            )
            latest = ()
        driver.at_tick()
        latest += simulation.step(driver.target())
        tick += 1
    columns = {key: np.asarray([frame[key] for frame in frames]) for key in frames[0]}
    return {**columns, 'texts': np.asarray(list(texts))}


def _main_event(events: tuple[Event, ...]) -> int:
    """Return the most important of several events. A cue comes first, and a distractor last."""
    order = (
        EventKind.CUE,
        EventKind.CUE_REPEAT,
        EventKind.GO,
        EventKind.PART,
        EventKind.ROUND_SUCCESS,
        EventKind.ROUND_FAILURE,
        EventKind.RESHUFFLE,
    )
    kinds = {event.kind for event in events}
    return next((int(kind) for kind in order if kind in kinds), int(EventKind.DISTRACTOR) if kinds else -1)


def _collect_some(collection: Collection, seeds: list[int], folder: Path) -> int:
    policy = collection.weights.policy() if collection.weights else None
    with World() as world:
        for seed in seeds:
            arrays = collect_episode(collection, seed, world, policy)
            replace_arrays(folder / f'{seed:05d}.npz', arrays, compress=True)  # a fourteenth of the size
    return len(seeds)


def collect(collection: Collection, work_dir: Path, workers: int) -> Path:
    """Collect the missing episodes, and return the folder of the episode files.

    Args:
        collection: episodes to collect.
        work_dir: parent of the folder.
        workers: number of processes.
    """
    folder = work_dir / 'demonstrations' / collection.folder
    folder.mkdir(parents=True, exist_ok=True)
    seeds = range(collection.first_seed, collection.first_seed + collection.episodes)
    missing = [seed for seed in seeds if not (folder / f'{seed:05d}.npz').exists()]
    context = get_context('spawn')  # an OpenGL context does not survive a fork
    count = collection.episodes
    bar = Bar(make_console(), f'collect {collection.folder}', count, done=count - len(missing))
    with bar, ProcessPoolExecutor(workers, mp_context=context) as pool:
        jobs = [pool.submit(_collect_some, collection, missing[i : i + 4], folder) for i in range(0, len(missing), 4)]
        for job in as_completed(jobs):
            bar.advance(job.result())
    return folder
