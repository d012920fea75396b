# SPDX-License-Identifier: Apache-2.0
"""Estimates epsilon and delta of a memory on new streams.

The history also includes the labels of its steps, which the observations contain except for noise. This can only raise
the value that the memory is compared with. An episode starts with the first binding, because nothing can be known
before. The reward is 1 for the right answer to a query, else 0.

The state Z has the answer that the memory would give for each bound key, the kind of the current step, and its key. At
a query, the actual answer counts. In the model, answers are right, and a table changes only by events:

    r'(Z, a)   1 if the step is a query and a is the answer of the table, else 0
    P'(Z)      the law of the generator for the next step with this table; a binding or rebinding sets its key to the
               class shown, and all other answers stay

    epsilon    1 if the memory answers a query wrongly, else 0; exact, because the right answer is known
    delta      total variation between the law of the next Z given the history and P'(Z). Both draw the kind of the
               next step and its key with the same probabilities. They also draw the same class, with one exception: a
               rebinding shows any class but the true one, and in the model any class but that of the table. With a
               coupling, they differ only if the memory does not act as a table, or if the class shown is the one that
               the table has for this key. The probability of a difference under a coupling is never below the total
               variation.

Both are means of counted events. One step is drawn from each episode with the weights gamma^t, so that the episodes are
independent trials.
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
"""Answer for each bound key."""
BATCH = 64
"""Number of streams drawn at once."""


@dataclass(frozen=True)
class Sampling:
    """Number and length of the episodes, and the discounts."""

    episodes: int = 1000
    """Number of independent episodes."""
    steps: int = 400
    """Length of an episode."""
    gammas: tuple[float, ...] = (0.5, 0.9, 0.95, 0.99, 1.0)
    """Discounts; 1 is the finite horizon without discount."""
    lead: int = 112
    """Number of steps in which the first binding has to occur; other streams are dropped."""


@dataclass(frozen=True)
class Step:
    """Labels of one step: `Kind`, key and class shown."""

    kind: int
    key: int
    shown: int


@dataclass(frozen=True)
class Episode:
    """Results of one episode."""

    wrong: NDArray[np.bool_]
    """Whether the step is a query with a wrong answer, bool [steps]."""
    error: list[float]
    """1 minus the probability of the right class, for each query."""
    mismatch: dict[int, bool]
    """Whether the next table differs from that of the model, by drawn step."""


def estimate(memory: Memory, setting: StreamSetting, sampling: Sampling, rng: np.random.Generator) -> dict[str, Any]:
    """Run the episodes and return their statistics.

    Returns:
        accuracy, and mean, 95th percentile and maximum of `Episode.error`. Lists in the order of `sampling.gammas`:
        `wrong` and `mismatch`, the number of episodes whose drawn step has the event, and `loss`, the mean discounted
        share of wrong answers over all steps.
    """
    questions = make_questions(setting.bindings)
    laws = [weights(gamma, sampling.steps) for gamma in sampling.gammas]
    wrong, mismatch = np.zeros(len(laws), int), np.zeros(len(laws), int)
    errors: list[float] = []
    wrongs = np.zeros(sampling.steps, int)
    for z, steps, start in islice(episodes(setting, sampling, rng), sampling.episodes):
        picked = [int(rng.choice(sampling.steps, p=law)) for law in laws]
        found = run_episode(memory, z, steps, start, questions, set(picked))
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


def make_questions(bindings: int) -> Floats:
    """Return a noise-free query for each key, float32 [bindings, features]."""
    keys, _ = codebook()
    z = np.zeros((bindings, FEATURE_DIM), np.float32)
    z[:, :KEY_CODE] = keys[:bindings]
    z[:, KEY_CODE + CLASS_CODE + 1] = 1.0
    return z


def read_steps(streams: Streams, row: int) -> list[Step]:
    """Return the labels of one stream; the class is decoded from the observation, whose noise is small enough."""
    _, classes = codebook()
    shown = (streams.z[row, :, KEY_CODE : KEY_CODE + CLASS_CODE] @ classes.T).argmax(1)
    return [
        Step(int(kind), int(key), int(value))
        for kind, key, value in zip(streams.kind[row], streams.key[row], shown, strict=True)
    ]


def run_episode(
    memory: Memory, z: Floats, steps: Sequence[Step], start: int, questions: Floats, picked: set[int]
) -> Episode:
    """Run one episode.

    Args:
        memory: memory; it is reset first.
        z: observations of the stream, float32 [T, features].
        steps: labels of the stream, T items.
        start: first step of the episode, which ends with the stream.
        questions: result of `make_questions`.
        picked: steps of the episode at which the table is compared with the next one.
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
        mismatch[len(wrong) - 1] = False  # The last step has no next table.
    return Episode(wrong, errors, mismatch)


def read_table(memory: Memory, questions: Floats, keys: Sequence[int], base: Floats) -> Table:
    """Return the answer of the memory for each key; its state does not change."""
    state, table = memory.export(), {}
    for key in keys:
        table[key] = int(memory.step(questions[key], base).action[0].argmax())
        memory.restore(state)
    return table


def differs(before: Table, step: Step, after: Table) -> bool:
    """Return whether the next table differs from that of the model, coupled to the same step."""
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
    """Yield episodes as streams that end with them: observations, labels, and the step of the first binding."""
    while True:
        streams = draw(setting, BATCH, sampling.lead + sampling.steps, rng)
        for row, events in enumerate(streams.events):
            start = int(events.argmax())
            if events[start] and start < sampling.lead:
                end = start + sampling.steps
                yield streams.z[row, :end], read_steps(streams, row)[:end], start
