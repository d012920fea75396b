# SPDX-License-Identifier: Apache-2.0
"""The commands in README and docs run as typed, in a folder with the files that a page speaks of."""

import re
import shutil
from contextlib import nullcontext
from pathlib import Path

import pytest

pytest.importorskip('rosbags')

import bag_rig
import lerobot_sets
from documented import LANGUAGES, PAGES, ROOT, Block, Desk, blocks
from ros_graph import Graph, free_domain, reserved_domain

from aura_ros.memory import load_memory
from aura_ros.state.format import Snapshot
from aura_ros.state.store import StateStore
from aura_ros.tools.launch.reader import describe
from aura_ros.vla import load_backbone

BLOCKS = [block for page in PAGES for block in blocks(page)]
RUNNING = {page: [block for block in BLOCKS if block.page == page and block.runs] for page in PAGES}
LAUNCH = re.compile(r'(\w+\.launch\.yaml)((?:[ \\\n]+\w+:=\S+)*)')
# A replay leaves the domain of its page for this one, which two pages must not use at once.
REPLAY, REPLAY_DOMAIN = 'replay.launch.yaml', 101
BAGS = ('my_bag', 'monday', 'tuesday', 'wednesday', 'bag:=run1')


def _cases() -> list[object]:
    cases: list[object] = []
    for page, found in RUNNING.items():
        name = str(page.relative_to(ROOT))
        if quick := [block for block in found if 'slow' not in block.options]:
            cases.append(pytest.param(quick, id=name))
        if len(quick) < len(found):
            cases.append(pytest.param(found, id=f'{name}, slow', marks=[pytest.mark.slow, pytest.mark.timeout(3600)]))
    return cases


@pytest.fixture(scope='module')
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording of two rounds by the whole graph."""
    folder = tmp_path_factory.mktemp('recorded')
    with free_domain() as domain:
        graph = Graph(domain, folder)
        try:
            assert bag_rig.stop(graph, bag_rig.record(graph, folder / 'bag')) == 0, graph.logs()
        finally:
            graph.close()
    return folder / 'bag'


def _keep(path: Path) -> None:
    """Write a state file in which both slots are used."""
    memory = load_memory('aura')
    store = StateStore(path, memory.memory_hash, memory.state_layout, len(memory.export()))
    try:
        store.load()
        for seq in range(2):
            store.commit(Snapshot(memory.export(), 'c2a7a5a0-0000-4000-8000-000000000000', seq, writes=seq))
    finally:
        store.close()


@pytest.mark.parametrize('block', [pytest.param(block, id=block.place) for block in BLOCKS])
def test_every_block_names_its_language(block: Block) -> None:
    assert block.language in LANGUAGES, f'{block.place}: write the language after the fence: {", ".join(LANGUAGES)}'


@pytest.mark.parametrize('block', [pytest.param(block, id=block.place) for block in BLOCKS if block.language == 'sh'])
def test_launch_files_have_the_documented_arguments(block: Block) -> None:
    for name, given in LAUNCH.findall(block.text):
        known = describe(ROOT / 'launch' / name)
        for argument in re.findall(r'(\w+):=', given):
            assert argument in known, f'{block.place}: {name} has no argument {argument}'


@pytest.mark.graph
@pytest.mark.timeout(900)
@pytest.mark.parametrize('page', _cases())
def test_commands_run_as_typed(page: list[Block], tmp_path: Path, request: pytest.FixtureRequest) -> None:
    text = '\n'.join(block.text for block in page)
    if './run' in text and not (ROOT / '.venv' / 'stamps').is_dir():
        pytest.skip('./run has not set up this folder')
    if any('ros2' in block.options for block in page) and not shutil.which('ros2'):
        page = [block for block in page if 'ros2' not in block.options]
    if not page:
        pytest.skip('needs the command ros2')
    folder = tmp_path / 'home'
    folder.mkdir()
    for name in BAGS:
        if re.search(rf'\b{name}\b', text):
            shutil.copytree(request.getfixturevalue('recorded'), folder / name.removeprefix('bag:='))
    if 'my_dataset' in text:
        lerobot_sets.version_3(folder / 'my_dataset', load_backbone('embedded').spec.joint_names)
    if 'runs/mine' in text:
        (folder / 'runs').mkdir()
        for suffix in ('json', 'safetensors'):
            weights = ROOT / 'aura_ros' / 'memory' / 'weights' / f'aura.{suffix}'
            shutil.copy(weights, folder / 'runs' / f'mine.{suffix}')
    if 'aura state' in text:
        _keep(folder / 'aura.state')
    with free_domain() as domain, reserved_domain(REPLAY_DOMAIN) if REPLAY in text else nullcontext():
        desk = Desk(folder, domain)
        try:
            for block in page:
                desk.run(block)
        finally:
            desk.close()
