# SPDX-License-Identifier: Apache-2.0
"""Differences between policies on the same rounds."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import replace

import pytest
from rich.console import Console

from aura_ros.bench.robot.console import print_paired
from aura_ros.bench.robot.paired import compare, paired_rows
from aura_ros.bench.robot.records import EpisodeRecord, EventRecord, RunRecord
from aura_ros.bench.robot.report import to_json

Make = Callable[..., RunRecord]


def episode(policy: str, solved: list[bool], task: str = 'recall', seed: int = 0) -> EpisodeRecord:
    kinds = ['round_success' if won else 'round_failure' for won in solved]
    events = tuple(EventRecord(float(number), kind, number, '', task) for number, kind in enumerate(kinds))
    return EpisodeRecord(task, policy, 'evaluation', seed, len(solved), policy, 10, 1.0, 1.0, events, {})


def test_rounds_are_counted_by_who_solved_them() -> None:
    base, aura = episode('base', [True, False, False, False]), episode('aura', [True, True, True, False])
    (row,) = paired_rows([base, aura])
    assert (row.policy, row.other, row.rounds) == ('aura', 'base', 4)
    assert (row.both, row.only_policy, row.only_other, row.neither) == (1, 2, 0, 1)
    assert row.difference == 0.5 and row.p_value == 0.5


def test_only_the_rounds_that_both_have_ended_count() -> None:
    row = paired_rows([episode('aura', [True] * 5), episode('kv', [False] * 3)])[0]
    assert (row.other, row.only_policy, row.rounds) == ('kv', 3, 3)


def test_other_seeds_and_tasks_are_no_pair() -> None:
    aura = episode('aura', [True])
    assert paired_rows([aura, episode('kv', [True], seed=1), episode('base', [True], 'visible')]) == []
    assert compare('recall', ('aura', 'kv'), []).difference == 0.0


def test_every_pair_is_in_the_json_and_on_the_console(make_run: Make) -> None:
    run = make_run(60)
    found = json.loads(json.dumps(to_json(run), allow_nan=False))['paired']
    assert [(row['task'], row['policy'], row['other']) for row in found] == [
        (task, 'aura', other) for task in ('recall', 'visible') for other in ('base', 'kv')
    ]
    recall = found[0]
    rates = {row['policy']: row['rate'] for row in to_json(run)['summary'] if row['task'] == 'recall'}
    assert recall['difference'] == pytest.approx(rates['aura'] - rates['base'])
    assert recall['p_value'] < 1e-6 and recall['rounds'] == 60
    assert found[1]['p_value'] == 1.0, 'the policies solved the same rounds'
    log = Console(file=io.StringIO(), width=110, highlight=False)
    print_paired(log, paired_rows(run.episodes))
    assert isinstance(log.file, io.StringIO)
    shown = log.file.getvalue()
    assert 'aura - base' in shown and '< 0.001' in shown and max(map(len, shown.splitlines())) <= 110


def test_nothing_is_printed_for_one_policy(make_run: Make) -> None:
    log = Console(file=io.StringIO(), width=110)
    print_paired(log, paired_rows(make_run(2, policies=('aura',)).episodes))
    assert isinstance(log.file, io.StringIO) and log.file.getvalue() == ''


def test_all_cues_of_a_round_are_in_the_json() -> None:
    cues = tuple(EventRecord(0.1 * number, 'cue', 0, colour) for number, colour in enumerate(('red', 'blue', 'red')))
    played = episode('aura', [True])
    played = replace(played, events=(*cues, *played.events))
    run = RunRecord('2026-01-01T00:00:00+00:00', 1.0, True, {}, {}, (played,))
    assert to_json(run)['episodes'][0]['outcomes'][0]['cue'] == 'red, blue, red'
