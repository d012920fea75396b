# SPDX-License-Identifier: Apache-2.0
"""Write the folder of a policy with memory, which LeRobot's programs take as --policy.path."""

import argparse
from pathlib import Path

from lerobot.policies.factory import get_policy_class

from aura_ros.common.arguments import make_parser
from aura_ros.common.errors import ConfigError
from aura_ros.common.program import program
from aura_ros.vla.adapters.lerobot_policy import load_config
from lerobot_policy_aura.configuration_aura import AuraConfig
from lerobot_policy_aura.processor_aura import frozen_policy, make_aura_pre_post_processors

_EPILOG = """\
example:
  python -m lerobot_policy_aura --model-file config/vla/so101_smolvla.yaml --checkpoint ~/my_smolvla \\
      --weights my_weights/aura.safetensors --output my_policy
  lerobot-rollout --policy.path=my_policy ..."""


@program('lerobot_policy_aura')
def main(arguments: list[str] | None = None) -> int:
    """Run the program and return its exit code."""
    options = _parser().parse_args(arguments)
    if options.output.exists():
        raise ConfigError(f'--output {options.output}: exists; name a new folder')
    config = AuraConfig(
        model_file=str(options.model_file.expanduser().resolve()),
        checkpoint=str(options.checkpoint.expanduser().resolve()) if options.checkpoint else '',
        memory=options.memory,
        weights=str(options.weights.expanduser().resolve()) if options.weights else '',
        device=options.device,
    )
    frozen = load_config(*_folder_and_options(config))
    config.input_features, config.output_features = frozen.input_features, frozen.output_features
    get_policy_class('aura')(config)  # whatever does not fit is refused here, before anything is written
    preprocess, postprocess = make_aura_pre_post_processors(config)
    config.save_pretrained(options.output)
    preprocess.save_pretrained(options.output)
    postprocess.save_pretrained(options.output)
    print(f'{options.output}: use it as --policy.path={options.output}')
    return 0


def _folder_and_options(config: AuraConfig) -> tuple[Path, object]:
    file, options = frozen_policy(config)
    return file.checkpoint, options


def _parser() -> argparse.ArgumentParser:
    parser = make_parser('python -m lerobot_policy_aura', __doc__, _EPILOG)
    parser.add_argument('--model-file', type=Path, required=True, metavar='FILE', help='YAML file of the frozen policy')
    parser.add_argument('--checkpoint', type=Path, metavar='DIR', help='its folder, in place of that in the file')
    parser.add_argument('--memory', default='aura', metavar='KIND', help='kind of the memory (default: %(default)s)')
    parser.add_argument('--weights', type=Path, metavar='FILE', help='weights of the memory (.safetensors)')
    parser.add_argument('--device', default='cpu', choices=('cpu', 'cuda'), help='where the policy runs')
    parser.add_argument('--output', type=Path, required=True, metavar='DIR', help='new folder')
    return parser


if __name__ == '__main__':
    raise SystemExit(main())
