# SPDX-License-Identifier: Apache-2.0
"""An endurance run: figures per hundred rounds, a file that has each of them at once, and a table."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from aura_ros.bench.robot.console import print_endurance
from aura_ros.bench.robot.endurance import EnduranceFile, paired_runs, policy_run
from aura_ros.bench.robot.records import EpisodeRecord, EventRecord, GateRecord
from aura_ros.common.errors import ConfigError

SETTINGS = {'tasks': 'recall,visible', 'seed': 0, 'rounds': 250}


def episode(policy: str, ended: int, rounds: int = 250) -> EpisodeRecord:
    """An episode with a round per second, of which each tenth fails, and ten steps in each; every fifth step writes."""
    events = tuple(
        EventRecord(
            number + 1.0,
            'round_failure' if number % 10 == 0 and policy != 'kv' else 'round_success',
            number,
            'red',
            ('recall', 'visible')[number % 2],
        )
        for number in range(ended)
    )
    steps = tuple(
        GateRecord(0.1 * seq, seq, 0.9, 0.5, policy == 'kv' or seq % 5 == 0, 20.0, 4224 if policy == 'aura' else seq)
        for seq in range(10 * ended)
    )
    gates = {} if policy == 'base' else {policy: steps}
    return EpisodeRecord('recall,visible', policy, 'evaluation', 0, rounds, policy, 10 * ended, 1.0, 2.0, events, gates)


def test_a_block_has_a_hundred_rounds_and_the_last_one_the_rest() -> None:
    run = policy_run(episode('aura', 250))
    assert run.finished and run.missing_steps == 0
    assert [(block.first, block.rounds, block.solved) for block in run.blocks] == [
        (0, 100, 90),
        (100, 100, 90),
        (200, 50, 45),
    ]
    assert [block.writes for block in run.blocks] == [200, 200, 100]
    assert {block.state_bytes for block in run.blocks} == {4224}
    assert run.solved() == (225, 250) and run.solved('recall') == (100, 125)
    base = policy_run(episode('base', 120))
    assert not base.finished and [block.writes for block in base.blocks] == [None, None]
    assert policy_run(episode('aura', 0)).blocks == ()


def test_the_file_has_each_hundred_at_once_and_a_later_run_continues(tmp_path: Path) -> None:
    path = tmp_path / 'new' / 'endurance.json'
    file = EnduranceFile(path, SETTINGS)
    file.keep(episode('aura', 100))
    assert len(json.loads(path.read_text())['policies']['aura']['blocks']) == 1
    file.keep(episode('aura', 250))
    file.keep(episode('kv', 100))
    later = EnduranceFile(path, SETTINGS)
    assert later.runs == file.runs
    assert later.finished('aura') and not later.finished('kv') and not later.finished('base')
    pairs = json.loads(path.read_text())['paired']
    assert [(row['task'], row['rounds'], row['only_other']) for row in pairs] == [
        ('all', 100, 10),
        ('recall', 50, 10),
        ('visible', 50, 0),
    ]


def test_a_file_of_other_settings_is_refused(tmp_path: Path) -> None:
    path = tmp_path / 'endurance.json'
    EnduranceFile(path, SETTINGS).keep(episode('aura', 100))
    with pytest.raises(ConfigError, match='other settings or weights'):
        EnduranceFile(path, SETTINGS | {'seed': 1})
    (tmp_path / 'plain').write_text('')
    with pytest.raises(ConfigError, match='cannot be written'):
        EnduranceFile(tmp_path / 'plain' / 'endurance.json', SETTINGS).keep(episode('aura', 1))


def test_the_table_has_a_line_for_each_hundred_and_each_task() -> None:
    log = Console(file=io.StringIO(), width=110, highlight=False)
    runs = [policy_run(episode('base', 100)), policy_run(episode('aura', 250)), policy_run(episode('kv', 250))]
    print_endurance(log, runs)
    assert isinstance(log.file, io.StringIO)
    shown = log.file.getvalue()
    for text in ('1-100', '101-200', '201-250', 'all', 'recall', 'visible', '90/100', '225/250', '500', '4,224'):
        assert text in shown, shown
    assert max(map(len, shown.splitlines())) <= 110
    assert len(paired_runs(runs)) == 6
