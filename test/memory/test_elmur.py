# SPDX-License-Identifier: Apache-2.0
"""ELMUR's step against its equations written out, and its slots against cases worked by hand."""

import math

import numpy as np
import pytest
from close import assert_close

from aura_ros.common.errors import StateError
from aura_ros.memory import build_memory
from aura_ros.memory.elmur import EMPTY, ElmurCell, choose_slot
from aura_ros.memory.weights import MemoryWeights

CODE = 6
SHAPES = {  # layers, slots, width, heads, segment, max_offset
    'two layers': (2, 3, 8, 2, 4, 20),
    'clamped offsets': (1, 4, 6, 3, 5, 3),
    'one slot': (3, 1, 4, 1, 3, 4),
    'a segment of one step': (2, 2, 8, 4, 1, 2),
}


def draw_weights(shape, blend=0.4, sigma=0.5, seed=0):
    """Random weights, norms and offsets included; the names are those of the weights file."""
    layers, slots, width, heads, segment, max_offset = shape
    rng = np.random.default_rng(seed)

    def normal(*size, scale=1.0, mean=0.0):
        return rng.normal(mean, scale, size).astype(np.float32)

    weights = {
        'heads': np.float32([heads]),
        'segment': np.float32([segment]),
        'blend': np.float32([blend]),
        'initial': normal(layers, slots, width, scale=sigma),
        'project.weight': normal(width, CODE),
        'project.bias': normal(width),
    }
    for layer in (f'layers.{i}' for i in range(layers)):
        squares = [f'attend.{part}' for part in ('query', 'key', 'value', 'position', 'output')]
        squares += [f'{track}.{part}' for track in ('read', 'write') for part in ('query', 'key', 'value', 'output')]
        for name in squares:
            weights[f'{layer}.{name}.weight'] = normal(width, width, scale=width**-0.5)
        for name in ('attend.output', 'read.output', 'write.output'):
            weights[f'{layer}.{name}.bias'] = normal(width, scale=0.2)
        for name in ('content_bias', 'position_bias'):
            weights[f'{layer}.attend.{name}'] = normal(heads, width // heads)
        for name in ('token', 'memory'):
            weights[f'{layer}.{name}_mlp.inner.weight'] = normal(2 * width, width, scale=width**-0.5)
            weights[f'{layer}.{name}_mlp.inner.bias'] = normal(2 * width)
            weights[f'{layer}.{name}_mlp.outer.weight'] = normal(width, 2 * width, scale=width**-0.5)
            weights[f'{layer}.{name}_mlp.outer.bias'] = normal(width)
        for name in ('attend', 'read', 'token', 'write', 'memory'):
            weights[f'{layer}.{name}_norm.weight'] = normal(width, mean=1.0, scale=0.2)
            weights[f'{layer}.{name}_norm.bias'] = normal(width, scale=0.2)
        weights[f'{layer}.offsets'] = normal(2 * max_offset - 1, heads)
    return weights


def codes(count, seed=1):
    """Random codes [count, CODE]."""
    return np.tanh(np.random.default_rng(seed).normal(size=(count, CODE))).astype(np.float32)


class Naive:
    """The paper's equations over whole segments, float64, one number after the other; every candidate is computed."""

    def __init__(self, weights, max_offset):
        self.w = {name: array.astype(np.float64) for name, array in weights.items()}
        self.heads, self.length = int(weights['heads'][0]), int(weights['segment'][0])
        self.blend, self.reach = float(weights['blend'][0]), max_offset - 1
        self.m = self.w['initial'].copy()
        self.p = [[EMPTY] * self.m.shape[1] for _ in self.m]

    def head(self, vector, head):
        size = len(vector) // self.heads
        return vector[head * size : (head + 1) * size]

    def add_norm(self, name, x, branch):
        summed = x + branch
        deviation = math.sqrt(((summed - summed.mean()) ** 2).mean() + 1e-5)
        return (summed - summed.mean()) / deviation * self.w[f'{name}.weight'] + self.w[f'{name}.bias']

    def ffn(self, name, x):
        hidden = self.w[f'{name}.inner.weight'] @ x + self.w[f'{name}.inner.bias']
        return self.w[f'{name}.outer.weight'] @ (hidden / (1 + np.exp(-hidden))) + self.w[f'{name}.outer.bias']

    def attend(self, name, query, rows, logit):
        """Attention of one vector over rows; `logit` takes the head, the number of the row, q, k and sqrt(d_h)."""
        found, root = [], math.sqrt(len(query) // self.heads)
        q = self.w[f'{name}.query.weight'] @ query
        for head in range(self.heads):
            keys, values = (
                [self.head(self.w[f'{name}.{part}.weight'] @ row, head) for row in rows] for part in ('key', 'value')
            )
            logits = [logit(head, n, self.head(q, head), k, root) for n, k in enumerate(keys)]
            shares = [math.exp(one - max(logits)) for one in logits]
            found.append(sum(share * value for share, value in zip(shares, values, strict=True)) / sum(shares))
        return self.w[f'{name}.output.weight'] @ np.concatenate(found) + self.w[f'{name}.output.bias']

    def self_attention(self, name, tokens, i):
        width = len(tokens[0])

        def logit(head, j, q, k, root):
            sines = [math.sin((i - j) / 10_000 ** (2 * c / width)) for c in range(width // 2)]
            cosines = [math.cos((i - j) / 10_000 ** (2 * c / width)) for c in range(width // 2)]
            r = self.head(self.w[f'{name}.position.weight'] @ np.array(sines + cosines), head)
            u, v = self.w[f'{name}.content_bias'][head], self.w[f'{name}.position_bias'][head]
            return ((q + u) @ k + (q + v) @ r) / root

        return self.attend(name, tokens[i], tokens[: i + 1], logit)

    def cross(self, name, table, query, rows, offsets):
        def logit(head, n, q, k, root):
            clamped = max(-self.reach, min(self.reach, offsets[n]))
            return q @ k / root + self.w[table][clamped + self.reach][head]

        return self.attend(name, query, rows, logit)

    def layer(self, index, x, times, whole):
        name, m, p = f'layers.{index}', self.m[index], self.p[index]
        table, tokens = f'{name}.offsets', []
        for i, t in enumerate(times):
            h = self.add_norm(f'{name}.attend_norm', x[i], self.self_attention(f'{name}.attend', x, i))
            h = self.add_norm(f'{name}.read_norm', h, self.cross(f'{name}.read', table, h, m, [t - a for a in p]))
            tokens.append(self.add_norm(f'{name}.token_norm', h, self.ffn(f'{name}.token_mlp', h)))
        if whole:
            new = []
            for slot, anchor in zip(m, p, strict=True):
                offsets = [anchor - t for t in times]
                u = self.add_norm(f'{name}.write_norm', slot, self.cross(f'{name}.write', table, slot, tokens, offsets))
                new.append(self.add_norm(f'{name}.memory_norm', u, self.ffn(f'{name}.memory_mlp', u)))
            empty = [j for j, anchor in enumerate(p) if anchor == EMPTY]
            j, alpha = (empty[0], 1.0) if empty else (p.index(min(p)), self.blend)
            m[j], p[j] = alpha * new[j] + (1 - alpha) * m[j], times[-1]
        return tokens

    def run(self, x):
        readouts = []
        for start in range(0, len(x), self.length):
            part = x[start : start + self.length].astype(np.float64)
            tokens = [self.w['project.weight'] @ code + self.w['project.bias'] for code in part]
            times = range(start, start + len(part))
            for index in range(len(self.m)):
                tokens = self.layer(index, tokens, times, len(part) == self.length)
            readouts += tokens
        return np.array(readouts)


@pytest.mark.parametrize('shape', SHAPES.values(), ids=SHAPES)
def test_a_step_follows_the_equations(shape):
    weights, x = draw_weights(shape), codes(43)
    cell, naive = ElmurCell(weights), Naive(weights, shape[-1])
    done = [cell.step(code) for code in x]
    assert_close([step.readout for step in done], naive.run(x))
    assert_close(cell.memories, naive.m)
    assert [cell.anchors.tolist()] * len(naive.p) == naive.p
    segment = shape[4]
    assert [step.written for step in done] == [(t + 1) % segment == 0 for t in range(len(x))]
    assert [step.gate > step.threshold for step in done] == [step.written for step in done]
    assert all((step.delta_norm > 0) == step.written for step in done)


@pytest.mark.parametrize(
    ('anchors', 'expected'),
    [
        ([EMPTY, EMPTY, EMPTY], (0, 1.0)),
        ([9, EMPTY, EMPTY], (1, 1.0)),
        ([9, 19, EMPTY], (2, 1.0)),
        ([9, 19, 29], (0, 0.3)),
        ([39, 19, 29], (1, 0.3)),
        ([39, 49, 29], (2, 0.3)),
        ([0, EMPTY], (1, 1.0)),
    ],
)
def test_empty_slots_first_and_then_the_one_that_waited_longest(anchors, expected):
    assert choose_slot(anchors, 0.3) == expected


def dictated(blend, slots, sigma=0.5):
    """A cell of one layer and segments of one step, and a function that writes a vector of one's own."""
    weights = draw_weights((1, slots, 4, 2, 1, 8), blend, sigma)
    weights['layers.0.memory_norm.weight'][:] = 0  # every candidate is the bias of the last norm
    cell = ElmurCell(weights)

    def write(value):
        weights['layers.0.memory_norm.bias'][:] = value
        cell.step(np.zeros(CODE, np.float32))
        return cell.memories[0]

    return cell, write


def test_half_a_blend_goes_half_the_way_but_fills_an_empty_slot_wholly():
    cell, write = dictated(blend=0.5, slots=2)
    np.testing.assert_array_equal(write(4)[0], [4, 4, 4, 4])  # not half of what was drawn for the empty slot
    np.testing.assert_array_equal(write(8), [[4] * 4, [8] * 4])
    np.testing.assert_array_equal(write(0), [[2] * 4, [8] * 4])
    np.testing.assert_array_equal(write(0), [[2] * 4, [4] * 4])
    np.testing.assert_array_equal(write([6, -2, 2, 0]), [[4, 0, 2, 1], [4] * 4])
    assert cell.anchors.tolist() == [4, 3]


@pytest.mark.parametrize(('blend', 'last'), [(0.0, 1.0), (1.0, 9.0)])
def test_a_blend_of_zero_keeps_and_of_one_replaces(blend, last):
    _, write = dictated(blend, slots=1)
    for value in (1, 5, 9):
        slots = write(value)
    np.testing.assert_array_equal(slots, [[last] * 4])


@pytest.mark.parametrize('blend', [0.05, 0.4, 0.79])
def test_overwrites_fade_as_proposition_1_says(blend):
    _, write = dictated(blend, slots=1)
    rng = np.random.default_rng(0)
    first, new = rng.normal(size=4), rng.normal(size=(30, 4))
    write(first)
    for k, value in enumerate(new, 1):
        expected = (1 - blend) ** k * first + sum(blend * (1 - blend) ** (k - u) * new[u - 1] for u in range(1, k + 1))
        assert_close(write(value)[0], expected)


def test_slots_stay_in_the_ball_of_the_writes_as_proposition_2_says():
    shape = (2, 3, 8, 2, 4, 20)
    weights = draw_weights(shape, blend=0.4, sigma=0.1)
    for name, array in weights.items():
        if 'memory_norm' in name:
            array[:] = float(name.endswith('weight'))  # every candidate has the norm sqrt(width)
    cell, bound, norms = ElmurCell(weights), math.sqrt(shape[2]), []
    for code in codes(600):
        cell.step(10 * code)
        norms.append(np.linalg.norm(cell.memories, axis=-1).max())
    assert max(norms) <= bound * (1 + 1e-5)
    assert max(norms) > 0.99 * bound, 'the bound must be met, or it says nothing'


def test_time_counts_exactly_whatever_its_length():
    weights = draw_weights(SHAPES['two layers'])
    early, late = ElmurCell(weights), ElmurCell(weights)
    for code in codes(40):
        early.step(code)
    late.restore(early.export())
    shift = 4 * 3 * 10**12  # far beyond what a float32 or an int32 can count
    late.anchors += shift
    late.carried[2][0] += shift
    for code in codes(40, seed=2):
        assert early.step(code).readout.tobytes() == late.step(code).readout.tobytes()
    assert (late.anchors - early.anchors).tolist() == [shift] * 3


@pytest.mark.parametrize('after', [0, 1, 3, 4, 17])
def test_a_state_exported_anywhere_in_a_segment_continues(after):
    weights, x = draw_weights(SHAPES['two layers']), codes(40)
    cell, other = ElmurCell(weights), ElmurCell(weights)
    for code in x[:after]:
        cell.step(code)
    for code in codes(9, seed=3):
        other.step(code)
    other.restore(cell.export())
    for code in x[after:]:
        assert cell.step(code).readout.tobytes() == other.step(code).readout.tobytes()
    assert cell.export() == other.export()
    with pytest.raises(StateError):
        other.restore(cell.export()[:-1])


def test_a_reset_gives_the_same_episode_again():
    cell = ElmurCell(draw_weights(SHAPES['two layers']))
    fresh = cell.export()
    first = [cell.step(code).readout.tobytes() for code in codes(30)]
    cell.reset()
    assert cell.export() == fresh
    assert [cell.step(code).readout.tobytes() for code in codes(30)] == first


def test_bytes_are_those_of_the_slots_the_anchors_the_clock_and_the_open_segment():
    weights = draw_weights((2, 3, 8, 2, 4, 20))
    head = {
        'feature_mean': np.zeros(5),
        'feature_scale': np.ones(5),
        'action_scale': np.ones(2),
        'encoder.weight': np.zeros((CODE, 5)),
        'encoder.bias': np.zeros(CODE),
        'head.output.bias': np.zeros(3),
        'head.output.weight': np.zeros((3, 7)),
        'head.hidden.weight': np.zeros((7, 7)),
        'head.hidden.bias': np.zeros(7),
        'head.features.weight': np.zeros((7, 9)),
        'head.features.bias': np.zeros(7),
        'head.modulation.weight': np.zeros((14, 8)),
        'head.modulation.bias': np.zeros(14),
    }
    arrays = weights | {name: array.astype(np.float32) for name, array in head.items()}
    memory = build_memory('elmur', MemoryWeights(arrays, {}, '00' * 32))
    sizes = set()
    for _ in range(13):
        memory.step(np.ones(5, np.float32), np.zeros((1, 2), np.float32))
        sizes.add(memory.state_bytes)
    assert memory.writes == 3
    assert memory.cell.memories.nbytes == 2 * 3 * 8 * 4
    # keys, values and outputs of four steps in two layers
    assert sizes == {memory.cell.memories.nbytes + 3 * 8 + 8 + 3 * 2 * 4 * 8 * 4} == {len(memory.export())}
