# SPDX-License-Identifier: Apache-2.0
"""Epsilon and delta of a memory on streams it never saw.

The history is given the labels of its steps as well, which are in the observations but for their noise: that only
raises what the memory is compared with. An episode begins with the first binding, for before it there is nothing to
know. The reward is 1 for the right answer to a question, else 0.

State Z: the table of what the memory answers for each key bound so far if it were asked now, what this step is, and of
which key. Where it is asked at this very step, the answer it really gives counts. Its model: the answers are right, and
a table goes on as a table should.

    r'(Z, a)   1 if the step is a question and a is the table's answer, else 0
    P'(Z)      the generator's law of the next step for this table; a binding or rebinding sets its key to the class
               shown, and nothing else changes

    epsilon    1 if the memory answers a question wrongly, else 0: exact, as the right answer is known
    delta      total variation of the law of the next Z given the history, of which the generator's part is known, and
               P'(Z). Both draw what the next step is and its key alike. They draw the same class, save that a
               rebinding shows any class but the true one, in the model any but the table's. So they can be coupled
               to differ only where the memory does not do what a table does, or the class shown is the table's own;
               and the probability that coupled draws differ is never below their total variation.

So both are means of events that are counted: one step is drawn from each episode with the weights gamma^t, which makes
the episodes independent trials.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aura_ros.bench.ais_bound import weights
from aura_ros.bench.streams import (
    CLASS_CODE,
    CLASSES,
    FEATURE_DIM,
    KEY_CODE,
    Kind,
    Streams,
    StreamSetting,
    codebook,
    draw,
)
from aura_ros.memory.protocol import Memory

Floats = NDArray[np.float32]
Table = dict[int, int]
"""Answer of each bound key."""
BATCH = 64
"""Streams drawn at a time."""


@dataclass(frozen=True)
class Sampling:
    """What is drawn."""

    episodes: int = 1000
    """Independent ones."""
    steps: int = 400
    """Of an episode."""
    gammas: tuple[float, ...] = (0.5, 0.9, 0.95, 0.99, 1.0)
    """Discounts; 1 is the finite horizon."""
    lead: int = 112
    """Steps in which the first binding must come."""


@dataclass(frozen=True)
class Step:
    """What one step showed: a `Kind`, a key, a class."""

    kind: int
    key: int
    shown: int


@dataclass(frozen=True)
class Episode:
    """What the memory did in one episode."""

    wrong: NDArray[np.bool_]
    """Whether a question of that step was answered wrongly, bool [steps]."""
    error: list[float]
    """1 minus the probability given to the right class, at each question."""
    mismatch: dict[int, bool]
    """By drawn step, whether the next table is not the model's."""


def estimate(memory: Memory, setting: StreamSetting, sampling: Sampling, rng: np.random.Generator) -> dict[str, Any]:
    """Run the episodes.

    Returns:
        accuracy, and mean, 95th percentile and largest of `error`; in lists in the order of `sampling.gammas`: wrong
        and mismatch, in how many episodes the drawn step is, and loss, the share of answers lost, from all steps.
    """
    questions = ask(setting.bindings)
    laws = [weights(gamma, sampling.steps) for gamma in sampling.gammas]
    wrong, mismatch = np.zeros(len(laws), int), np.zeros(len(laws), int)
    errors: list[float] = []
    wrongs = np.zeros(sampling.steps, int)
    for z, steps, start in islice(episodes(setting, sampling, rng), sampling.episodes):
        picked = [int(rng.choice(sampling.steps, p=law)) for law in laws]
        found = play(memory, z, steps, start, questions, set(picked))
        wrong += [found.wrong[step] for step in picked]
        mismatch += [found.mismatch[step] for step in picked]
        errors += found.error
        wrongs += found.wrong
    mean, q95, worst = np.mean(errors), np.percentile(errors, 95), np.max(errors)
    return {
        'questions': len(errors),
        'accuracy': 1.0 - float(wrongs.sum()) / len(errors),
        'error_mean': float(mean),
        'error_q95': float(q95),
        'error_max': float(worst),
        'wrong': wrong.tolist(),
        'mismatch': mismatch.tolist(),
        'loss': [float(law @ wrongs) / sampling.episodes for law in laws],
    }


def ask(bindings: int) -> Floats:
    """The question for each key without noise, [bindings, features]."""
    keys, _ = codebook()
    z = np.zeros((bindings, FEATURE_DIM), np.float32)
    z[:, :KEY_CODE] = keys[:bindings]
    z[:, KEY_CODE + CLASS_CODE + 1] = 1.0
    return z


def read_steps(streams: Streams, row: int) -> list[Step]:
    """The steps of one stream; the class shown is read off the observation, which its noise never hides."""
    _, classes = codebook()
    shown = (streams.z[row, :, KEY_CODE : KEY_CODE + CLASS_CODE] @ classes.T).argmax(1)
    return [
        Step(int(kind), int(key), int(value))
        for kind, key, value in zip(streams.kind[row], streams.key[row], shown, strict=True)
    ]


def play(memory: Memory, z: Floats, steps: Sequence[Step], start: int, questions: Floats, picked: set[int]) -> Episode:
    """Run one episode.

    Args:
        memory: begins empty.
        z: observations of the stream, [T, features].
        steps: its labels, T of them.
        start: where the episode begins; it ends with the stream.
        questions: of `ask`.
        picked: steps of the episode at which the table is compared with the next.
    """
    memory.reset()
    base = np.zeros((1, CLASSES), np.float32)
    truth: Table = {}
    wrong, errors, mismatch = np.zeros(len(steps) - start, bool), [], {}
    before: Table | None = None
    for t, step in enumerate(steps):
        scores = memory.step(z[t], base).action[0]
        if step.kind in (Kind.BINDING, Kind.REBINDING):
            truth[step.key] = step.shown
        now = t - start
        if now < 0:
            continue
        given = None
        if step.kind == Kind.QUERY:
            given = int(scores.argmax())
            wrong[now] = given != truth[step.key]
            errors.append(1.0 - _probability(scores, truth[step.key]))
        if before is None and now not in picked:
            continue
        table = read_table(memory, questions, sorted(truth), base)
        if given is not None:
            table[step.key] = given
        if before is not None:
            mismatch[now - 1] = differs(before, step, table)
        before = table if now in picked else None
    if before is not None:
        mismatch[len(wrong) - 1] = False  # nothing follows the last step
    return Episode(wrong, errors, mismatch)


def read_table(memory: Memory, questions: Floats, keys: Sequence[int], base: Floats) -> Table:
    """What the memory would answer for each of the keys; its state stays as it is."""
    state, table = memory.export(), {}
    for key in keys:
        table[key] = int(memory.step(questions[key], base).action[0].argmax())
        memory.restore(state)
    return table


def differs(before: Table, step: Step, after: Table) -> bool:
    """Whether the next table is not the one that the model, coupled to the same step, draws."""
    expected = dict(before)
    if step.kind in (Kind.BINDING, Kind.REBINDING):
        expected[step.key] = step.shown
    impossible = step.kind == Kind.REBINDING and before[step.key] == step.shown
    return impossible or after != expected


def _probability(scores: Floats, answer: int) -> float:
    spread = np.exp(scores - scores.max())
    return float(spread[answer] / spread.sum())


def episodes(
    setting: StreamSetting, sampling: Sampling, rng: np.random.Generator
) -> Iterator[tuple[Floats, list[Step], int]]:
    """Streams that end with their episode: observations, labels, and the step of the first binding."""
    while True:
        streams = draw(setting, BATCH, sampling.lead + sampling.steps, rng)
        for row, events in enumerate(streams.events):
            start = int(events.argmax())
            if events[start] and start < sampling.lead:
                end = start + sampling.steps
                yield streams.z[row, :end], read_steps(streams, row)[:end], start
