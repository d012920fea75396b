# SPDX-License-Identifier: Apache-2.0
"""Data never becomes code: no pickle, no code from a hub, no module name from the graph.

unsafe_code.py reads the source. An audit hook of Python, which reports each object that an unpickler creates, watches
the libraries while they load all files of the package.
"""

import subprocess
import sys
from dataclasses import fields
from importlib import import_module
from pathlib import Path

import pytest
from unsafe_code import findings

ROOT = Path(__file__).parents[2]
SHIPPED = sorted(
    path
    for path in [
        *(ROOT / 'aura_ros').rglob('*.py'),
        *(ROOT / 'launch').rglob('*.py'),
        *(ROOT / 'scripts').iterdir(),
        ROOT / 'setup.py',
    ]
    if path.is_file() and '__pycache__' not in path.parts
)
_WORKERS = 'which sends pickles to child processes'
_CONNECTS = 'which opens connections'
_BY_NAME = 'imports a module by a name given at run time'
_WRITES = 'writes a pickle'
# Each exception, with the reason why no outside data reaches it.
ALLOWED = {
    # Training and benchmarks use child processes. multiprocessing pickles the data in the pipes between them. No other
    # process can open these pipes, and no node imports these modules.
    'aura_ros/bench/jobs.py': {_WORKERS},
    'aura_ros/train/demonstrations.py': {_WORKERS},
    # 'aura_ros.bench.NAME', with NAME from the fixed list of commands
    'aura_ros/bench/cli.py': {_BY_NAME},
    # the fixed table of verbs
    'aura_ros/cli.py': {_BY_NAME},
    # 'module:attribute' of a user-supplied backbone or memory. Only the command line or a launch file can set this
    # parameter, see test_parameters_with_code_or_files_are_read_only.
    'aura_ros/common/loading.py': {_BY_NAME},
    # the backbone `remote`, which connects to the address that the user names, and its server, on this computer only by
    # default. Messages are msgpack with numbers, text and arrays of numbers, see test/vla/remote.
    'aura_ros/vla/remote/connection.py': {_CONNECTS},
    'aura_ros/vla/remote/server.py': {_CONNECTS},
    # Released checkpoints of OpenVLA-OFT have .pt files, so random ones do. The adapter reads them with weights_only.
    'aura_ros/vla/adapters/random_oft.py': {_WRITES},
    # the message types of a viewer, only from installed packages, as in `ros2 topic echo`
    'aura_ros/ros/graph.py': {_BY_NAME},
}


def _kinds(found: list[str]) -> set[str]:
    return {next((kind for kind in (_WORKERS, _CONNECTS, _BY_NAME, _WRITES) if kind in text), text) for text in found}


@pytest.mark.parametrize('path', SHIPPED, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_package_has_no_unsafe_code(path: Path) -> None:
    name = path.relative_to(ROOT).as_posix()
    found = findings(path.read_text(encoding='utf-8'))
    assert _kinds(found) == ALLOWED.get(name, set()), found


@pytest.mark.parametrize(
    'unsafe',
    [
        'import pickle',
        'import pickle as p',
        'from pickle import loads',
        'def f():\n    import dill',
        'import joblib.numpy_pickle',
        'from torch import package',
        'import shelve',
        'import multiprocessing.managers',
        'from multiprocessing.connection import Listener',
        'import multiprocessing\nmultiprocessing.Manager()',
        'from concurrent.futures import ProcessPoolExecutor',
        'from multiprocessing import get_context',
        'import socket',
        'from urllib.request import urlopen',
        'import zmq',
        'import torch\ntorch.load(path)',
        'import torch\ntorch.load(path, weights_only=False)',
        'import torch\ntorch.load(path, weights_only=flag)',
        'import torch as t\nt.load(path)',
        'from torch import load\nload(path)',
        'from torch import load as read\nread(path)',
        'import torch\ntorch.save(state, path)',
        'import torch\ntorch.jit.load(path)',
        'import torch.export\ntorch.export.load(path)',
        'from torch.export import load\nload(path)',
        'import torch\ntorch.hub.load(repository, model)',
        'import numpy as np\nnp.load(path)',
        'import numpy as np\nnp.load(path, allow_pickle=True)',
        'import numpy\nnumpy.load(path, None, allow)',
        'from numpy import load\nload(path)',
        'from transformers import AutoModel\nAutoModel.from_pretrained(name, trust_remote_code=True)',
        'load(name, trust_remote_code=flag)',
        'eval(text)',
        'exec(text)',
        '__import__("pickle")',
        'from importlib import import_module\nimport_module("pickle")',
        'from importlib import import_module\nimport_module(name)',
        'import importlib as i\ni.import_module(name)',
        'import yaml\nyaml.load(text)',
        'import yaml\nyaml.load(text, yaml.Loader)',
        'import yaml\nyaml.load(text, Loader=yaml.FullLoader)',
        'import yaml\nclass Mine(yaml.Loader): ...\nyaml.load(text, Mine)',
        'import yaml\nyaml.unsafe_load(text)',
        'from yaml import full_load as read\nread(text)',
        'import os\nos.system(text)',
        'import subprocess\nsubprocess.run(text, shell=True)',
    ],
)
def test_unsafe_code_is_found(unsafe: str) -> None:
    assert findings(f'"""A module."""\n{unsafe}\n')


@pytest.mark.parametrize(
    'safe',
    [
        'import torch\ntorch.load(path, weights_only=True)',
        'import numpy as np\nnp.load(path, allow_pickle=False)',
        'import numpy as np\nnp.load(path, mmap_mode="r", allow_pickle=False)',
        'import yaml\nyaml.safe_load(text)',
        'import yaml\nyaml.load(text, Loader=yaml.SafeLoader)',
        'import yaml\nclass Mine(yaml.SafeLoader): ...\nyaml.load(text, Mine)',
        'model.eval()',
        'import re\nre.compile(text)',
        'import json\njson.load(file)',
        'from safetensors.numpy import load\nload(data)',
        'import subprocess\nsubprocess.run(words)',
        'from importlib import import_module\nimport_module("json")',
        'from concurrent.futures import ThreadPoolExecutor',
    ],
)
def test_safe_code_is_accepted(safe: str) -> None:
    assert findings(safe) == []


# Text parameters that can change at run time. They only select a value, name a topic or appear in a message.
HARMLESS = {'cameras', 'policies', 'base_frame', 'frame', 'frame_id', 'split', 'task', 'tasks'}
HARMLESS |= {'command_topic', 'state_topic', 'pose_topic', 'measured'}


@pytest.mark.parametrize(
    ('module', 'schema'),
    [
        ('nodes.vla.node', 'VlaNodeConfig'),
        ('nodes.memory.node', 'MemoryNodeConfig'),
        ('nodes.kv_baseline', 'KvBaselineConfig'),
        ('nodes.policy_switch.config', 'SwitchNodeConfig'),
        ('ros.robot_file', 'RobotParameters'),
        ('ros.robot_file', 'OutputParameters'),
        ('ros.robot_file', 'MapParameters'),
        ('ros.robot_file', 'EndEffectorParameters'),
        ('nodes.sim.node', 'SimNodeConfig'),
        ('tools.panel.main', 'PanelConfig'),
    ],
)
def test_parameters_with_code_or_files_are_read_only(module: str, schema: str) -> None:
    pytest.importorskip('rclpy')
    rules = {
        spec.name: spec.metadata['aura_ros.parameter']
        for spec in fields(getattr(import_module(f'aura_ros.{module}'), schema))
    }
    texts = {name for name, rule in rules.items() if rule.kind.name == 'STRING' and not rule.choices}
    assert {name for name in texts if not rules[name].at_start} <= HARMLESS


_LOADS_EVERYTHING = """
import sys
sys.addaudithook(lambda event, what: event == 'pickle.find_class' and made.append(what))
made = []
import numpy as np
from aura_ros.memory import load_memory
from aura_ros.vla import Observation, load_backbone
backbone = load_backbone()
black = {camera: np.zeros((8, 8, 3), np.uint8) for camera in backbone.spec.cameras}
backbone.infer(Observation(black, np.zeros(len(backbone.spec.joint_names), np.float32), 'go on'))
for kind in ('aura', 'kv', 'none'):
    load_memory(kind)
print(made)
"""


def test_loading_all_files_unpickles_nothing() -> None:
    done = subprocess.run([sys.executable, '-c', _LOADS_EVERYTHING], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == '[]\n', done.stderr


def test_the_audit_hook_detects_unpickling() -> None:
    unpickling = _LOADS_EVERYTHING.replace(
        'print(made)', 'import fractions, pickle\npickle.loads(pickle.dumps(fractions.Fraction(1, 2)))\nprint(made)'
    )
    done = subprocess.run([sys.executable, '-c', unpickling], cwd=ROOT, capture_output=True, text=True)
    assert 'Fraction' in done.stdout, done.stderr
