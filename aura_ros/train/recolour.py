# SPDX-License-Identifier: Apache-2.0
"""Other colours for the scenes of the demonstrations.

Each round of a demonstration has one scene and one answer. With about a thousand rounds of a task, an action head
learns the answers by the places of the blocks, and needs no memory: on other rounds it is then at chance. So training
exchanges the colours of a sequence. Its cues become those of other rounds that show the new colours. Its actions become
those of the frozen backbone in the same scene when the instruction names the new colour. The backbone solves the tasks
that name the answer, so this adds no knowledge about the world.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aura_ros.train.lessons import LABELS, NOTHING, UNKNOWN, colours_due
from aura_ros.train.sequences import Part, Stream

COLUMNS = ('z', 'base', 'expert', 'event', 'round', 'go')
"""Columns of a stream that a sequence of its own takes over; see `Recolour`."""


class Recolour:
    """Exchanges colours in sequences.

    Args:
        streams: training data; the cues of a sequence are taken from all streams of its task.
        share: share of the sequences whose colours change, 0..1.
        rng: random numbers.
    """

    def __init__(self, streams: Sequence[Stream], share: float, rng: np.random.Generator) -> None:
        self._share, self._rng = share, rng
        self._cues: dict[tuple[str, int, int], list[tuple[Stream, int]]] = defaultdict(list)
        for stream in streams:
            if stream.light is not None and stream.colour is not None:
                for t in np.flatnonzero(stream.light >= 0):
                    self._cues[stream.task, int(stream.light[t]), int(stream.colour[t])].append((stream, int(t)))

    def __call__(self, part: Part) -> Part:
        """Return a sequence with other colours.

        It is the same one by chance, if its task has no colours, or if no stream shows a new cue.
        """
        stream, steps = part
        if stream.named is None or self._rng.random() >= self._share:
            return part
        assert stream.light is not None and stream.colour is not None and stream.answer is not None
        order = self._rng.permutation(3)  # the new colour of each
        columns = {name: getattr(stream, name)[steps].copy() for name in COLUMNS}
        for i, t in enumerate(steps):
            if stream.light[t] >= 0:
                cues = self._cues.get((stream.task, int(stream.light[t]), int(order[stream.colour[t]])))
                if cues is None:
                    return part
                other, at = cues[self._rng.integers(len(cues))]
                for name in ('z', 'base', 'expert'):
                    columns[name][i] = getattr(other, name)[at]
            elif stream.answer[t] >= 0 and order[stream.answer[t]] != stream.answer[t]:
                columns['expert'][i] = stream.named[t, order[stream.answer[t]]]
        columns['cue'] = None if stream.cue is None else stream.cue[steps]
        since = None if stream.since is None else stream.since[steps] - steps[0]
        columns |= {name: getattr(stream, name)[steps] for name in LABELS if getattr(stream, name) is not None}
        if 'due' in columns:
            columns['due'] = np.array([*order, NOTHING, UNKNOWN])[columns['due']]
        own = replace(stream, **columns, since=since, named=None, light=None, colour=None, answer=None)
        return own, np.arange(len(steps))


def find_colours(arrays: Mapping[str, Any], texts: NDArray[np.str_], task: str) -> dict[str, NDArray[np.int64]]:
    """Return which light shows which colour at each step, and which colour is asked for.

    Args:
        arrays: columns of an episode, by VLA step: `scene`, `lamps`, `event`, `round`, `go`.
        texts: instruction of each step, [T].
        task: name of the task.

    Returns:
        light: int64 [T], 0 for the beacon, 1 to 3 for the lamps, -1 if no cue shows; colour: int64 [T], its colour, 0
        to 2; answer: int64 [T], the colour to touch, or -1.
    """
    from aura_ros.sim.tasks.many import TEXT
    from aura_ros.sim.tasks.single import RECALL_TEXT
    from aura_ros.sim.world import SIDES

    lights = np.concatenate([arrays['scene'][:, None, 16:20], arrays['lamps']], 1)
    shown: NDArray[np.bool_] = lights[..., 1:] > 0  # [T, 4, 3], without dark
    if task != 'many':
        shown[:, 1:] = False
    sources, colours = np.any(shown, axis=2), np.any(shown, axis=1)
    light = np.where(np.any(sources, axis=1), np.argmax(sources, axis=1), -1)
    colour = np.where(np.any(colours, axis=1), np.argmax(colours, axis=1), -1)
    named = {TEXT.format(side): 1 + i for i, side in enumerate(SIDES)} if task == 'many' else {RECALL_TEXT: 0}
    answer, latest = np.full(len(texts), -1), dict[int, int]()
    for t in range(len(texts)):
        if light[t] >= 0 and (t == 0 or light[t - 1] != light[t]):
            latest[int(light[t])] = int(colour[t])
        answer[t] = latest.get(named.get(str(texts[t]), -1), -1)
    if task == 'sequence':
        due = colours_due({'light': light, 'colour': colour, 'event': arrays['event'], 'round': arrays['round']})
        answer = np.where(due[:, 0] == NOTHING, -1, due[:, 0])
    answer = np.where(arrays['go'], answer, -1)
    return {'light': light.astype(np.int64), 'colour': colour.astype(np.int64), 'answer': answer.astype(np.int64)}
