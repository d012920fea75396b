# SPDX-License-Identifier: Apache-2.0
"""Time and GPU memory of a frozen VLA, and what the memories add to them.

The model and the memories take turns: one inference, then one step of each memory on its features. Images, states and
instruction are random, because no time depends on them. So are the weights of the memories, whose gates are kept open.
The first inferences are not timed.

  ./run bench vla                            the embedded backbone, on this processor
  ./run bench vla --random 7b --device cuda  OpenVLA-OFT with the shapes of OpenVLA 7B and random weights
  ./run bench vla --random tiny              the same classes, small; a test of the command
  ./run bench vla --backbone lerobot --path config/vla/so101_smolvla.yaml \\
      --checkpoint ~/my_smolvla --device cuda

./run uses the environment of the model, see ./run vla_env. --random writes its checkpoint to DIR/vla-random-SIZE, which
for 7b needs 16 GB of disk and of main memory, and a few minutes.

Output: DIR/vla-NAME.csv and .json.
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console

from aura_ros.bench.store import ResultStore
from aura_ros.common.arguments import names_of, positive_integer
from aura_ros.common.errors import ConfigError
from aura_ros.common.tables import FiguresTable
from aura_ros.common.yaml_lines import read_yaml
from aura_ros.vla import backbone_name

SUMMARY = 'latency and GPU memory of a frozen VLA, and the share of the memories in them'
MEMORIES = ('aura', 'elmur', 'gru', 'kv')
DEVICES = ('cpu', 'cuda')
RANDOM_SIZES = ('tiny', '7b')
ADAPTERS = ('lerobot', 'openvla_oft')
"""Backbones whose file names the device."""
STEPS, QUICK_STEPS = 100, 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    parser.set_defaults(seeds=(0,))  # times do not depend on the seed
    parser.add_argument('--backbone', type=backbone_name, default='embedded', metavar='NAME', help='as for aura serve')
    parser.add_argument(
        '--path',
        default='',
        metavar='FILE',
        help='weights, or a file such as config/vla/aloha.yaml (default: those that ship)',
    )
    parser.add_argument(
        '--checkpoint', default='', metavar='DIR', help='folder of the weights (default: that in the file)'
    )
    parser.add_argument(
        '--random', choices=RANDOM_SIZES, metavar='SIZE', help='random weights: tiny or 7b (default: those of the file)'
    )
    parser.add_argument(
        '--device',
        choices=DEVICES,
        metavar='NAME',
        help='where the model runs: cpu or cuda (default: that of the file, else cpu)',
    )
    parser.add_argument(
        '--steps',
        type=positive_integer,
        metavar='N',
        help=f'timed inferences (default: {STEPS}, with --quick {QUICK_STEPS})',
    )
    parser.add_argument(
        '--memories',
        type=names_of(MEMORIES),
        default=','.join(MEMORIES),
        metavar='LIST',
        help='memories to time (default: %(default)s)',
    )


def check(args: argparse.Namespace) -> None:
    """Check the arguments together."""
    if args.random:
        if args.path or args.checkpoint:
            raise ConfigError('--random must be left out with --path or --checkpoint: choose one of them')
    elif args.device == 'cuda' and args.backbone not in ADAPTERS:
        raise ConfigError(f'--device cuda: backbone {args.backbone} chooses its device itself; leave the option out')


def run(args: argparse.Namespace, console: Console) -> int:
    """Measure and report. Return the exit code."""
    memories = list(args.memories)
    steps = args.steps or (QUICK_STEPS if args.quick else STEPS)
    if args.device == 'cuda':
        _check_cuda()
    with tempfile.TemporaryDirectory() as scratch:
        name, path = _model(args, Path(scratch), console)
        console.print(f'loading {args.random or args.checkpoint or path or name}')
        from aura_ros.bench.vla_run import measure

        asked = {key: getattr(args, key) for key in ('path', 'checkpoint', 'random', 'device')}
        settings = {'backbone': name, **asked, 'steps': steps}
        store = ResultStore(args.output, f'vla-{args.random or name}', settings, args.fresh)
        rows, facts = measure(name, path, args.checkpoint, memories, steps, args.seeds[0], console)
    store.write(rows, facts)
    report(rows, facts, console)
    store.print_files(console, '.csv', '.json')
    return 0


def _check_cuda() -> None:
    """Raise ConfigError if torch has no GPU."""
    import torch

    if not torch.cuda.is_available():
        raise ConfigError('--device cuda: torch finds no GPU; use --device cpu, or install its CUDA build')


def _model(args: argparse.Namespace, scratch: Path, console: Console) -> tuple[str, str]:
    """Return the name of the backbone and its file, which has the device of the arguments."""
    if args.random:
        from aura_ros.vla.adapters.random_oft import write_checkpoint

        folder = args.output / f'vla-random-{args.random}'
        device = args.device or 'cpu'
        console.print(f'writing random weights to {folder}')
        return 'openvla_oft', str(write_checkpoint(folder, args.random, device=device))
    if args.device is None or (args.device == 'cpu' and args.backbone not in ADAPTERS):
        return args.backbone, args.path
    content = read_yaml(Path(args.path).expanduser()) if args.path else None
    if not isinstance(content, dict) or not isinstance(content.get(args.backbone), dict):
        raise ConfigError(f"--path {args.path!r}: must be a YAML file with the key '{args.backbone}'; see config/vla")
    content[args.backbone]['device'] = args.device
    (scratch / 'model.yaml').write_text(yaml.safe_dump(content))
    return args.backbone, str(scratch / 'model.yaml')


def report(rows: list[dict[str, Any]], facts: dict[str, Any], console: Console) -> None:
    """Print the table."""
    table = FiguresTable(
        f'{facts["model"]} on {facts["device"]}',
        keys=('part',),
        figures=('median [ms]', '95th percentile [ms]', 'share of the whole', 'state at the end [B]'),
    )
    for row in rows:
        share = '' if row['share'] is None else f'{row["share"]:.2%}'
        size = '' if row['state_bytes'] is None else f'{row["state_bytes"]:,}'
        table.add_row(row['part'], f'{row["median_ms"]:.3f}', f'{row["p95_ms"]:.3f}', share, size)
    console.print(table)
    console.print(f'{facts["feature_dim"]} features, chunks of {facts["chunk_size"]} actions, {facts["steps"]} steps')
    if facts['gpu_peak_mib'] is not None:
        console.print(
            f'GPU memory: {facts["gpu_weights_mib"]:,.0f} MiB of weights, {facts["gpu_peak_mib"]:,.0f} MiB at most; '
            'the memories use none'
        )
