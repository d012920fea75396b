# SPDX-License-Identifier: Apache-2.0
"""Times a frozen VLA and memories on its features, in turns."""

import platform
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from aura_ros.bench.horizon_run import random_memory
from aura_ros.common.progress import Bar
from aura_ros.memory.protocol import Memory
from aura_ros.vla import load_backbone
from aura_ros.vla.protocol import BackboneSpec, Observation

WARM_UP = 3
"""Inferences that are not timed."""
IMAGE = (480, 640)
"""Height and width of an image of a camera [px]."""
INSTRUCTION = 'put the red cube in the drawer'
OPTIONS: dict[str, dict[str, Any]] = {'aura': {'addressing': 'content', 'modes': 3}}
"""Options of the memories, as on the robot."""


def measure(
    name: str, path: str, checkpoint: str, kinds: Sequence[str], steps: int, seed: int, console: Console
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return a row for the backbone and for each memory, and facts of the run.

    Args:
        name: backbone, see `load_backbone`.
        path: weights or file of the backbone, or ''.
        checkpoint: folder of the weights, or ''.
        kinds: memories.
        steps: timed inferences.
        seed: of inputs and of the weights of the memories.
        console: for the progress.

    Raises:
        ConfigError: the backbone cannot be used, or has no features.
    """
    backbone = load_backbone(name, path or None, checkpoint or None)
    spec, rng = backbone.spec, np.random.default_rng(seed)
    memories = {kind: _memory(kind, spec, seed) for kind in kinds} if spec.feature_dim else {}
    times: dict[str, list[int]] = {part: [] for part in ('backbone', *memories)}
    weights = _gpu_mib()
    with Bar(console, 'inferences', WARM_UP + steps) as bar:
        for step in range(WARM_UP + steps):
            seen = _observation(spec, rng)
            began = time.perf_counter_ns()
            output = backbone.infer(seen)  # its arrays are in main memory, so the GPU has finished
            spent = {'backbone': time.perf_counter_ns() - began}
            for kind, memory in memories.items():
                began = time.perf_counter_ns()
                memory.step(output.features, output.actions)
                spent[kind] = time.perf_counter_ns() - began
            for part, one in spent.items() if step >= WARM_UP else ():
                times[part].append(one)
            bar.advance()
    peak = _gpu_mib(peak=True)
    whole = float(np.median(times['backbone']))
    rows = [_row(part, taken, whole, memories.get(part)) for part, taken in times.items()]
    facts = {
        'model': spec.name,
        'device': _device(weights is not None),
        'feature_dim': spec.feature_dim,
        'chunk_size': spec.chunk_size,
        'steps': steps,
        'gpu_weights_mib': weights,
        'gpu_peak_mib': peak,
    }
    return rows, facts


def _memory(kind: str, spec: BackboneSpec, seed: int) -> Memory:
    from aura_ros.train.modules import Sizes

    sizes = Sizes(spec.feature_dim, spec.chunk_size, spec.action_dim, actions=spec.action_spec)
    return random_memory(kind, sizes, seed, OPTIONS.get(kind, {}))


def _observation(spec: BackboneSpec, rng: np.random.Generator) -> Observation:
    images: dict[str, NDArray[np.uint8]] = {
        camera: rng.integers(0, 256, (*IMAGE, 3), dtype=np.uint8) for camera in spec.cameras
    }
    measured = rng.uniform(-0.1, 0.1, len(spec.joint_names)).astype(np.float32)
    return spec.observation(images, measured, INSTRUCTION)


def _row(part: str, nanoseconds: list[int], backbone: float, memory: Memory | None) -> dict[str, Any]:
    median, p95 = np.percentile(nanoseconds, (50, 95))
    return {
        'part': part,
        'median_ms': round(float(median) / 1e6, 4),
        'p95_ms': round(float(p95) / 1e6, 4),
        'share': None if memory is None else float(median / (median + backbone)),
        'state_bytes': None if memory is None else len(memory.export()),
    }


def _gpu_mib(peak: bool = False) -> float | None:
    """Return the GPU memory that torch has given out, or gave out at most [MiB]; None if it uses no GPU."""
    import torch

    if not torch.cuda.is_available() or not torch.cuda.is_initialized():
        return None
    taken: int = torch.cuda.max_memory_allocated() if peak else torch.cuda.memory_allocated()
    return taken / 2**20


def _device(gpu: bool) -> str:
    """Return the name of the GPU, or the kind of processor and the number of threads of torch."""
    import torch

    return torch.cuda.get_device_name() if gpu else f'{platform.machine()}, {torch.get_num_threads()} threads'
