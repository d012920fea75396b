# SPDX-License-Identifier: Apache-2.0
"""The AIS bound: by hand, for memories with known errors, and through the command."""

from __future__ import annotations

import csv
import json
import math
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from close import assert_close

from aura_ros.bench import cli
from aura_ros.bench.ais import bounds
from aura_ros.bench.ais_bound import Share, discounted_steps, loss_bound, perfect_value, weights
from aura_ros.bench.ais_estimate import (
    Sampling,
    Step,
    differs,
    episodes,
    estimate,
    make_questions,
    read_steps,
    read_table,
    run_episode,
)
from aura_ros.bench.streams import CLASSES, KEY_CODE, Kind, StreamSetting, codebook, draw, generator
from aura_ros.memory.protocol import Decision

SETTING = StreamSetting(bindings=3, event=0.2, repeat=0.2, query=0.3)
SAMPLING = Sampling(episodes=300, steps=30, gammas=(0.5, 1.0), lead=30)
KEYS, VALUES = codebook()


class TableMemory:
    """A memory that acts exactly as a table; `answer` and `keep` add errors."""

    name, feature_dim, memory_hash, backbone_hash = 'notebook', 64, '', ''

    def __init__(self, answer: int | None = None, keep: bool = True) -> None:
        self.answer, self.keep, self.writes = answer, keep, 0
        self.table = np.zeros(64, np.int8)

    @property
    def state_bytes(self) -> int:
        return self.table.nbytes

    def reset(self) -> None:
        self.table[:] = 0

    def step(self, z: np.ndarray, base_action: np.ndarray) -> Decision:
        key = int((KEYS @ z[:KEY_CODE]).argmax())
        kind = int(z[48:51].argmax())  # shown, asked, distractor
        if kind == 0 and (self.keep or self.table[key] == 0):
            self.table[key] = 1 + int((VALUES @ z[KEY_CODE:48]).argmax())
        given = self.table[key] - 1 if self.answer is None else self.answer
        scores = np.zeros_like(base_action)
        scores[0, given] = 100.0
        return Decision(scores, 1.0, 0.0, kind == 0, 0.0, 0.0, 0.0)

    def export(self) -> bytes:
        return self.table.tobytes()

    def restore(self, data: bytes) -> None:
        self.table[:] = np.frombuffer(data, np.int8)


# More noise would let TableMemory decode some steps wrongly.
LOW_NOISE = StreamSetting(3, 0.2, 0.2, 0.3, code_noise=0.01, context_noise=0.01)


def test_the_bound_by_hand() -> None:
    assert discounted_steps(0.5, 3) == 1.75
    assert weights(0.5, 3).tolist() == pytest.approx([4 / 7, 2 / 7, 1 / 7])
    # 2 * 1.75 * (0.1 + 0.5 * 0.2), and with a value that spans 3
    assert loss_bound(0.1, 0.2, 0.5, 3) == pytest.approx(0.7)
    assert loss_bound(0.1, 0.2, 0.5, 3, span=3.0) == pytest.approx(1.4)
    # Without discount: the finite horizon, 2 T (eps + delta).
    assert loss_bound(0.1, 0.2, 1.0, 10) == pytest.approx(6.0)
    # Over a long episode: the published 2 (eps + gamma delta) / (1 - gamma).
    assert loss_bound(0.1, 0.2, 0.9, 1000) == pytest.approx(2 * (0.1 + 0.9 * 0.2) / 0.1)
    assert perfect_value(0.2, 0.5, 3) == pytest.approx(0.15)


def test_share_has_a_wider_interval() -> None:
    share = Share(0, 100)
    low, high = share.interval
    z = 2.2414  # of 97.5 %
    assert share.mean == low == 0.0 and high == pytest.approx(z * z / (100 + z * z), rel=1e-3)


def test_questions_are_noise_free_queries() -> None:
    streams = draw(StreamSetting(5, 0.2, 0.1, 0.5, 0.0, 0.0), 1, 200, np.random.default_rng(0))
    asked = streams.kind[0] == Kind.QUERY
    assert_close(streams.z[0][asked][:, :56], make_questions(5)[streams.key[0][asked]][:, :56])


def test_labels_of_a_stream_determine_its_answers() -> None:
    streams = draw(SETTING, 8, 300, np.random.default_rng(0))
    for row in range(8):
        truth: dict[int, int] = {}
        for step, target in zip(read_steps(streams, row), streams.target[row], strict=True):
            if step.kind in (Kind.BINDING, Kind.REBINDING):
                truth[step.key] = step.shown
            elif step.kind == Kind.REPEAT:
                assert step.shown == truth[step.key]
            elif step.kind == Kind.QUERY:
                assert target == truth[step.key]


def test_episodes_start_at_the_first_binding() -> None:
    found = episodes(SETTING, SAMPLING, np.random.default_rng(0))
    for _ in range(100):
        z, steps, start = next(found)
        assert len(z) == len(steps) == start + SAMPLING.steps
        assert steps[start].kind == Kind.BINDING
        assert all(step.kind == Kind.DISTRACTOR for step in steps[:start])


def test_exact_table_has_no_error() -> None:
    row = estimate(TableMemory(), LOW_NOISE, SAMPLING, generator('evaluation', 0))
    assert row['accuracy'] == 1.0 and row['error_max'] < 1e-6
    assert row['wrong'] == row['mismatch'] == [0, 0] and row['loss'] == [0.0, 0.0]


def test_constant_answer_has_the_expected_errors() -> None:
    row = estimate(TableMemory(answer=0), LOW_NOISE, SAMPLING, generator('evaluation', 0))
    for index, gamma in enumerate(SAMPLING.gammas):
        wrong, mismatch = (Share(row[kind][index], SAMPLING.episodes).interval for kind in ('wrong', 'mismatch'))
        later = 1.0 - weights(gamma, SAMPLING.steps)[0]
        assert wrong[0] <= 7 / 8 * LOW_NOISE.query * later <= wrong[1]
        # No binding to another class is stored, and the model excludes a rebinding to this class.
        assert mismatch[0] <= LOW_NOISE.event and 7 / 8 * LOW_NOISE.event * later <= mismatch[1]
    assert row['accuracy'] == pytest.approx(1 / 8, abs=0.03)


def test_memory_that_never_overwrites_misses_every_rebinding() -> None:
    z, steps, start = next(episodes(LOW_NOISE, SAMPLING, np.random.default_rng(1)))
    found = run_episode(TableMemory(keep=False), z, steps, start, make_questions(3), set(range(SAMPLING.steps)))
    episode = steps[start:]
    stale: set[int] = set()
    for now, step in enumerate(episode[1:]):
        # A rebinding to the stored class can occur, which the model excludes as well.
        assert found.mismatch[now] == (step.kind == Kind.REBINDING)
        if step.kind == Kind.REBINDING:
            stale.add(step.key)
        if step.key not in stale:
            assert not found.wrong[now + 1]
    assert found.wrong.any() and not found.mismatch[SAMPLING.steps - 1]


def test_read_table_does_not_change_the_memory() -> None:
    memory = TableMemory()
    memory.table[:3] = (4, 1, 8)
    before = memory.export()
    assert read_table(memory, make_questions(3), [0, 2], np.zeros((1, CLASSES), np.float32)) == {0: 3, 2: 7}
    assert memory.export() == before


def test_delta_is_never_below_the_total_variation() -> None:
    """Enumerate all next steps of two keys with a table that is wrong for one of them."""
    event, repeat, query = 0.3, 0.25, 0.15
    truth, table = {0: 2, 1: 5}, {0: 4, 1: 5}

    def law(answers: dict[int, int]) -> list[tuple[float, Step]]:
        steps = [
            (event / 2 / 7, Step(Kind.REBINDING, key, value))
            for key in answers
            for value in range(CLASSES)
            if value != answers[key]
        ]
        steps += [(repeat / 2, Step(Kind.REPEAT, key, 0)) for key in answers]
        steps += [(query / 2, Step(Kind.QUERY, key, 0)) for key in answers]
        rest = 1.0 - event - repeat - query
        return steps + [
            (rest / 2 / 8, Step(Kind.DISTRACTOR, key, value)) for key in answers for value in range(CLASSES)
        ]

    def after(step: Step) -> dict[int, int]:
        return table | {step.key: step.shown} if step.kind == Kind.REBINDING else dict(table)

    def outcomes(answers: dict[int, int]) -> dict[tuple[object, ...], float]:
        found: dict[tuple[object, ...], float] = defaultdict(float)
        for chance, step in law(answers):
            found[step.kind, step.key, tuple(after(step).items())] += chance
        return found

    true, model = outcomes(truth), outcomes(table)
    assert math.fsum(true.values()) == pytest.approx(1.0)
    distance = sum(abs(true[place] - model[place]) for place in {*true, *model}) / 2
    coupled = sum(chance for chance, step in law(truth) if differs(table, step, after(step)))
    assert distance == pytest.approx(event / 2 / 7)
    assert coupled == pytest.approx(distance)
    repaired = sum(
        chance
        for chance, step in law(truth)
        if differs(table, step, after(step) | ({0: 2} if step == Step(Kind.REPEAT, 0, 0) else {}))
    )
    assert repaired == pytest.approx(distance + repeat / 2)


def test_row_of_a_discount_by_hand() -> None:
    runs = [
        {
            'setting': 'easy',
            'query': 0.2,
            'episodes': 100,
            'accuracy': accuracy,
            'questions': 50,
            'wrong': [wrong],
            'mismatch': [2],
            'loss': [0.01],
        }
        for accuracy, wrong in ((1.0, 0), (0.98, 4))
    ]
    (row,) = bounds(runs, Sampling(100, 3, (0.5,)))
    assert (row['epsilon'], row['delta'], row['episodes']) == (0.02, 0.02, 200)
    assert row['bound_total_variation'] == pytest.approx(2 * (0.02 + 0.5 * 0.02))
    assert row['bound_value'] == pytest.approx(0.04)
    assert row['bound_value_high'] == pytest.approx(2 * row['epsilon_high'])
    assert row['all_right'] == pytest.approx(0.15 / 1.75)
    assert row['worst_epsilon_seen'] == 1.0 and row['worst_case_bound_at_least'] == 2.0
    assert row['vacuous_value'] == (row['bound_value_high'] >= row['all_right'])
    (without_errors,) = bounds(runs[:1], Sampling(100, 3, (0.5,)))
    assert without_errors['worst_case_bound_at_least'] is None


@pytest.mark.torch
def test_quick_run_trains_estimates_and_writes(tmp_path: Path) -> None:
    pytest.importorskip('torch')
    pytest.importorskip('matplotlib')
    command = ['ais', '--quick', '--episodes', '40', '--output', str(tmp_path)]
    assert cli.main(command) == 0
    found = json.loads((tmp_path / 'ais.json').read_text(encoding='utf-8'))
    assert [row['gamma'] for row in found['rows']] == [0.5, 0.9, 0.95, 0.99, 1.0]
    for row in found['rows']:
        assert row['bound_value_high'] <= row['bound_total_variation_high']
        assert row['true_loss'] <= row['bound_value_high']
    (trained,) = found['runs']
    assert trained['accuracy'] > 0.3  # chance is 0.125
    assert 'JMLR' in found['source']
    with (tmp_path / 'ais.csv').open(encoding='utf-8') as file:
        assert len(list(csv.DictReader(file))) == 5
    assert (tmp_path / 'ais.png').stat().st_size > 10_000
    (weights_file,) = (tmp_path / 'ais' / 'weights').glob('*.safetensors')
    again = ['ais', '--weights', str(weights_file), '--quick', '--episodes', '5', '--output', str(tmp_path / 'other')]
    assert cli.main(again) == 0


@pytest.mark.parametrize(
    ('words', 'expected'),
    [
        ([], 'run `./run bench synthetic --memories aura`'),
        (['--episodes', '0'], 'must be an integer >= 1'),
        (['--weights', 'nowhere.safetensors'], 'is not a file'),
        (['--memory', 'periodic'], 'its schedule'),
    ],
)
def test_invalid_arguments_are_rejected(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], expected: str
) -> None:
    assert cli.main(['ais', '--output', str(tmp_path), *words]) == 2
    assert expected in capsys.readouterr().err
