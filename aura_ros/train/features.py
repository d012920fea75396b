# SPDX-License-Identifier: Apache-2.0
"""aura features: compute the features of robot recordings, for the training of memories.

`aura train` computes missing features itself. `aura features` needs neither torch nor ROS.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

from aura_ros.common.arguments import make_parser
from aura_ros.common.console import make_console
from aura_ros.common.errors import ConfigError
from aura_ros.common.program import program
from aura_ros.vla import backbone_name

if TYPE_CHECKING:
    from aura_ros.train.recordings import FeatureFile
    from aura_ros.vla.protocol import Backbone


_EPILOG = """\
examples:
  aura features monday tuesday --mapping robot.yaml
  aura train memory --from-bags monday tuesday --mapping robot.yaml \\
      --output my_weights
"""


def add_arguments(parser: argparse.ArgumentParser | argparse._ArgumentGroup) -> None:
    """Add the options that say how to read recordings; `aura train` has them too."""
    parser.add_argument(
        '--mapping',
        type=Path,
        metavar='FILE',
        help='YAML file that assigns topics to inputs, see docs/replay.md (default: guess from types and names)',
    )
    parser.add_argument(
        '--robot',
        type=Path,
        metavar='FILE',
        help='robot file, which gives the topics of joints and commands and their units (default: the recorded one)',
    )
    parser.add_argument(
        '--instruction', default='', metavar='TEXT', help='instruction of the recordings (default: that of the mapping)'
    )
    parser.add_argument(
        '--backbone',
        type=backbone_name,
        default='embedded',
        metavar='NAME',
        help="frozen backbone: 'embedded', or module:attribute of your own (default: %(default)s)",
    )
    parser.add_argument('--backbone-weights', metavar='FILE', help='weights of the backbone (default: those that ship)')


def collect(options: argparse.Namespace, bags: list[Path], console: Console) -> tuple[list[FeatureFile], Backbone]:
    """Compute the features of recordings and store them; return the files and the backbone.

    Raises:
        AuraError: if a recording or the mapping cannot be used.
    """
    from aura_ros.control.robot_file import read_robot_file
    from aura_ros.replay.steps.mapping_file import load_mapping
    from aura_ros.train.recordings import keep_features
    from aura_ros.vla import load_backbone

    backbone = load_backbone(options.backbone, options.backbone_weights)
    if not backbone.spec.feature_dim:
        raise ConfigError(f'backbone {options.backbone!r} sends no features: tap them first, see docs/vla.md')
    mapping = load_mapping(options.mapping) if options.mapping else None
    robot = read_robot_file(options.robot) if options.robot else None
    kept: list[FeatureFile] = []
    for bag in bags:
        found = keep_features(bag, options.work_dir / 'features', backbone, mapping, options.instruction, robot)
        about = found.about
        count = f'{about["steps"]} steps of {about["episodes"]} episodes, {about["covered"]} with recorded actions'
        console.print(f'{about["bag"]}: {count}; {found.file}', markup=False, soft_wrap=True)
        if about['partial']:
            console.print(f'[yellow]incomplete:[/] {escape(about["partial"])}', soft_wrap=True)
        kept.append(found)
    return kept, backbone


@program('aura features')
def main(arguments: list[str] | None = None) -> int:
    """Run the program and return its exit code."""
    parser = make_parser('aura features', __doc__, _EPILOG)
    parser.add_argument(
        'bags', nargs='+', type=Path, metavar='BAG', help='a rosbag2 folder, a .mcap or .db3 file, or a LeRobot dataset'
    )
    parser.add_argument(
        '--work-dir',
        type=Path,
        default=Path('build/train'),
        metavar='DIR',
        help='folder for the features (default: %(default)s)',
    )
    add_arguments(parser)
    options = parser.parse_args(arguments)
    collect(options, options.bags, make_console())
    return 0


if __name__ == '__main__':
    sys.exit(main())
