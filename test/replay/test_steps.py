# SPDX-License-Identifier: Apache-2.0
"""Steps as arrays, on disk and in the cache: round trips, and a stopped run that continues."""

from dataclasses import replace

import numpy as np
import pytest
from replayed import CHUNK, INFO, joined, synthetic_steps

from aura_ros.common.action_spec import ActionComponent
from aura_ros.common.errors import BagError, ConfigError, InputError
from aura_ros.replay.steps.arrays import Row, Steps
from aura_ros.replay.steps.cache import FirstSteps, StepCache, content_digest, fill, key_of
from aura_ros.replay.steps.stream import StreamFacts

COLUMNS = ('stamps_ns', 'episode_ids', 'seqs', 'features', 'base_actions', 'recorded_actions')


def same(one, other):
    return (
        all(
            np.array_equal(getattr(one, name), getattr(other, name), equal_nan=name == 'recorded_actions')
            for name in COLUMNS
        )
        and one.thumbnails == other.thumbnails
        and one.info == other.info
    )


class Stream:
    """Yields prepared steps, and can stop after some of them."""

    def __init__(self, steps, stop_after=None):
        self.info, self.asked, self._steps, self._stop = steps.info, 0, steps, stop_after

    def rows(self, known):
        steps = self._steps
        for row in range(len(known), len(steps)):
            if self._stop is not None and self.asked >= self._stop:
                raise KeyboardInterrupt
            self.asked += 1
            yield Row(
                int(steps.stamps_ns[row]),
                str(steps.episode_ids[row]),
                int(steps.seqs[row]),
                steps.features[row],
                steps.base_actions[row],
                steps.recorded_actions[row],
                steps.thumbnails[row],
            )

    def facts(self):
        return StreamFacts(inputs={'front': {'samples': float(self.asked)}}, notes=('a note',))


@pytest.mark.parametrize('components', [(), (ActionComponent('move', 3, 'ee_position', 'delta', range=(-1.0, 1.0)),)])
def test_a_file_gives_back_what_was_saved(tmp_path, components):
    steps = synthetic_steps(7)
    steps = replace(steps, info=replace(steps.info, components=components))
    steps.save(tmp_path / 'steps.npz')
    assert same(Steps.load(tmp_path / 'steps.npz'), steps)
    assert Steps.load(tmp_path / 'steps.npz', thumbnails=False).thumbnails == ()
    assert [path.name for path in tmp_path.iterdir()] == ['steps.npz']


def test_missing_recorded_actions_are_nan():
    rows = [
        Row(1 + row, 'e', row, np.zeros(4, np.float32), np.zeros(CHUNK, np.float32), action)
        for row, action in enumerate((None, np.zeros(CHUNK, np.float32)))
    ]
    steps = Steps.of(INFO, rows)
    assert np.isnan(steps.recorded_actions[0]).all()
    assert steps.has_recorded_actions.tolist() == [False, True]


@pytest.mark.parametrize('data', [b'', b'PK\x03\x04 and then nothing', b'text'])
def test_a_damaged_file_is_refused_by_name(tmp_path, data):
    (tmp_path / 'steps.npz').write_bytes(data)
    with pytest.raises(ConfigError, match=r'steps\.npz holds no steps.*remove it'):
        Steps.load(tmp_path / 'steps.npz')


def test_arrays_that_do_not_belong_together_are_refused():
    steps = synthetic_steps(5)
    with pytest.raises(InputError, match='features has 4 steps'):
        replace(steps, features=steps.features[:4])
    with pytest.raises(InputError, match='n_action_steps = 99'):
        replace(steps, info=replace(INFO, n_action_steps=99))
    with pytest.raises(InputError, match='3 thumbnails for 5 steps'):
        replace(steps, thumbnails=steps.thumbnails[:3])
    with pytest.raises(InputError, match='no step'):
        Steps.of(INFO, [])


def test_the_digest_is_of_the_content(tmp_path):
    first, second = tmp_path / 'a' / 'bag.mcap', tmp_path / 'b' / 'bag.mcap'
    for path in (first, second):
        path.parent.mkdir()
        path.write_bytes(b'x' * 3_000_000)
    read = []
    assert content_digest([first], read.append) == content_digest([second])
    assert sum(read) == 3_000_000
    with second.open('r+b') as file:  # a byte in the middle, same size
        file.seek(1_500_000)
        file.write(b'y')
    assert content_digest([first]) != content_digest([second])
    assert key_of(content='a', span=(None, 1)) != key_of(content='a', span=(None, 2))


def test_the_cache_is_filled_once(tmp_path):
    steps, seen = synthetic_steps(300), []
    with StepCache(tmp_path, 'key') as cache:
        fill(cache, Stream(steps), advance=seen.append)
        assert len(cache) == len(seen) == 300 and cache.complete
    with StepCache(tmp_path, 'key') as cache:
        again = Stream(steps)
        fill(cache, again)
        assert again.asked == 0
        assert cache.facts == StreamFacts(inputs={'front': {'samples': 300.0}}, notes=('a note',))
        assert cache.info == steps.info
        assert same(joined(list(cache.parts(thumbnails=True))), steps)
        assert [len(part) for part in cache.parts()] == [256, 44]


def test_a_stopped_run_continues_and_gives_the_same_steps(tmp_path):
    steps = synthetic_steps(300)
    with StepCache(tmp_path, 'key') as cache:
        with pytest.raises(KeyboardInterrupt):
            fill(cache, Stream(steps, stop_after=270))
        assert len(cache) == 270 and not cache.complete
    with StepCache(tmp_path, 'key') as cache:
        rest = Stream(steps)
        fill(cache, rest)
        assert rest.asked == 30 and cache.complete
        assert same(joined(list(cache.parts(thumbnails=True))), steps)


def test_a_limit_stops_early_and_more_steps_are_added_later(tmp_path):
    steps = synthetic_steps(50)
    with StepCache(tmp_path, 'key') as cache:
        fill(cache, Stream(steps), limit=20)
        assert len(cache) == 20 and not cache.complete
        short = Stream(steps)
        fill(cache, short, limit=10)
        assert short.asked == 0
        assert len(FirstSteps(cache, 10)) == sum(map(len, FirstSteps(cache, 10).parts())) == 10
        fill(cache, Stream(steps))
        assert len(cache) == 50 and len(FirstSteps(cache, 99)) == 50


def test_a_torn_part_and_the_parts_after_it_are_computed_again(tmp_path):
    steps = synthetic_steps(600, pictures=True)
    with StepCache(tmp_path, 'key') as cache:
        fill(cache, Stream(steps))
    next((tmp_path / 'key').glob('00000256-*')).unlink()
    (tmp_path / 'key' / '00000256-0256.part').write_bytes(b'torn')
    (tmp_path / 'key' / 'state.json').write_text('{"complete": fal')
    with StepCache(tmp_path, 'key') as cache:
        assert len(cache) == 256
        fill(cache, Stream(steps))
        assert same(joined(list(cache.parts(thumbnails=True))), steps)


def test_two_processes_do_not_fill_one_cache(tmp_path):
    with StepCache(tmp_path, 'key'):
        with pytest.raises(ConfigError, match='another aura replay'):
            StepCache(tmp_path, 'key')
    with StepCache(tmp_path, 'key'):
        pass


def test_a_recording_without_a_step_says_why(tmp_path):
    steps = synthetic_steps(1)
    stream = Stream(steps)
    stream.rows = lambda known: iter(())
    with StepCache(tmp_path, 'key') as cache:
        with pytest.raises(BagError, match='the recording gives no step: a note'):
            fill(cache, stream)
        assert not cache.complete


def test_a_cache_that_cannot_be_created_names_the_option(tmp_path):
    (tmp_path / 'file').write_text('')
    with pytest.raises(ConfigError, match='--cache'):
        StepCache(tmp_path / 'file', 'key')
