# SPDX-License-Identifier: Apache-2.0
"""aura features: turn recordings of a robot into the features that memories are trained on.

    aura features monday tuesday --mapping robot.yaml
    aura train memory --from-bags monday tuesday --mapping robot.yaml --output my_weights

The second does the first where it was not done. No torch and no ROS is needed here.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

from aura_ros.common.console import make_console
from aura_ros.common.program import program

if TYPE_CHECKING:
    from aura_ros.train.recordings import FeatureFile
    from aura_ros.vla.protocol import Backbone


def add_arguments(parser: argparse.ArgumentParser | argparse._ArgumentGroup) -> None:
    """Say how recordings are read; shared with aura train."""
    parser.add_argument(
        '--mapping', type=Path, metavar='FILE', help='which topic is what, see docs/replay.md (default: it is guessed)'
    )
    parser.add_argument(
        '--instruction', default='', metavar='TEXT', help="what the robot was told, in place of the mapping's"
    )
    parser.add_argument(
        '--backbone',
        default='embedded',
        metavar='NAME',
        help="the frozen VLA: 'embedded', or module:attribute of your own (default: %(default)s)",
    )
    parser.add_argument('--backbone-weights', metavar='FILE', help='its weights (default: those that ship)')


def collect(options: argparse.Namespace, bags: list[Path], console: Console) -> tuple[list[FeatureFile], Backbone]:
    """Keep the features of recordings as the options say; returns them (`FeatureFile`) and the backbone.

    Raises:
        AuraError: a recording or the mapping cannot be used.
    """
    from aura_ros.replay.steps.mapping import load_mapping
    from aura_ros.train.recordings import Reading, keep_features
    from aura_ros.vla import load_backbone

    backbone = load_backbone(options.backbone, options.backbone_weights)
    reading = Reading(load_mapping(options.mapping) if options.mapping else None, options.instruction)
    kept: list[FeatureFile] = []
    for bag in bags:
        found = keep_features(bag, options.work_dir / 'features', backbone, reading)
        about = found.about
        count = f'{about["steps"]} steps of {about["episodes"]} episodes, {about["covered"]} with recorded actions'
        console.print(f'{about["bag"]}: {count}; {found.file}', markup=False, soft_wrap=True)
        if about['partial']:
            console.print(f'[yellow]not whole:[/] {escape(about["partial"])}', soft_wrap=True)
        kept.append(found)
    return kept, backbone


@program('aura features')
def main(arguments: list[str] | None = None) -> int:
    """Run the program and return its exit code."""
    parser = argparse.ArgumentParser(
        prog='aura features', description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        'bags', nargs='+', type=Path, metavar='BAG', help='a rosbag2 folder, a .mcap or .db3 file, or a LeRobot dataset'
    )
    parser.add_argument(
        '--work-dir', type=Path, default=Path('build/train'), help='where features are kept (default: %(default)s)'
    )
    add_arguments(parser)
    options = parser.parse_args(arguments)
    collect(options, options.bags, make_console())
    return 0


if __name__ == '__main__':
    sys.exit(main())
