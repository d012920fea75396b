# SPDX-License-Identifier: Apache-2.0
"""Small models of each family that drive the simulated arm, with their files. Runs in the environment of the family.

    python served_families.py FAMILY FOLDER

It writes FOLDER/model.yaml and, where the shipped robot files do not fit, FOLDER/robot.yaml.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import yaml

ROOT = Path(__file__).parents[2]
JOINTS = [*(f'joint{number}' for number in range(1, 8)), 'finger_joint']
HOME_DEG = np.rad2deg([0.0, 0.2847, 0.0, 1.9915, 0.0, 0.8654, 0.0])
_GRIP = 100.0
"""Value of the policy at which the gripper is open."""


def openvla_oft(folder: Path) -> None:
    """Write a small OpenVLA-OFT, with the shipped file for LIBERO."""
    from aura_ros.vla.adapters.random_oft import write_checkpoint

    write_checkpoint(folder)
    model: dict[str, Any] = yaml.safe_load((ROOT / 'config/vla/libero_oft.yaml').read_text())
    model['openvla_oft'] |= {'device': 'cpu', 'dtype': 'float32'}
    _write(folder / 'model.yaml', model | {'checkpoint': str(folder / 'oft')})


def lerobot(folder: Path) -> None:
    """Write a small SmolVLA whose joints are in degrees, as those of LeRobot, and its robot file."""
    import tiny_lerobot
    import torch

    middle = torch.tensor([*HOME_DEG, _GRIP / 2], dtype=torch.float32)
    spread = torch.tensor([10.0] * 7 + [20.0])
    scale = {'mean': middle, 'std': spread, 'q01': middle - spread, 'q99': middle + spread}
    scale |= {'min': middle - spread, 'max': middle + spread}
    file = tiny_lerobot.make(
        'smolvla',
        folder,
        ('front', 'wrist'),
        {'action': scale, 'observation.state': scale},
        joint_names=JOINTS,
        state=[
            {'name': 'arm', 'dims': 7, 'kind': 'joint', 'unit': 'deg'},
            {'name': 'gripper', 'dims': 1, 'kind': 'gripper', 'unit': '1'},
        ],
        actions=[
            {'name': 'arm', 'dims': 7, 'kind': 'joint', 'mode': 'absolute', 'unit': 'deg'},
            {'name': 'gripper', 'dims': 1, 'kind': 'gripper', 'mode': 'absolute', 'unit': '1', 'range': [0.0, _GRIP]},
        ],
        seconds_per_action=0.05,
    )
    file.rename(folder / 'model.yaml')
    robot: dict[str, Any] = yaml.safe_load((ROOT / 'config/sim_arm.yaml').read_text())
    robot['/**']['ros__parameters']['robot'] |= {
        'mapped_joints': ['finger_joint'],
        'map_finger_joint': {'policy': [0.0, _GRIP], 'robot': [0.0, 0.04]},
    }
    _write(folder / 'robot.yaml', robot)


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(yaml.safe_dump(content))


if __name__ == '__main__':
    {'openvla_oft': openvla_oft, 'lerobot': lerobot}[sys.argv[1]](Path(sys.argv[2]))
