# SPDX-License-Identifier: Apache-2.0
"""Warnings of the recorder are shown where a recording is used, and a damaged note is ignored."""

import pytest
import yaml

pytest.importorskip('rosbags', reason='the replay extra is not installed')

from aura_ros.recordings.metadata import MOST_WARNINGS, recorder_warnings
from aura_ros.recordings.types import WARNINGS


def test_warnings_of_the_recorder_are_sentences_on_one_line():
    found = recorder_warnings({WARNINGS: yaml.safe_dump(['no command is recorded', 'two\nlines\x1b[31m'])})
    assert found[0] == 'the recorder reported: no command is recorded'
    assert not set(found[1]) & {'\n', '\x1b'}


@pytest.mark.parametrize('text', ['', '[]', '{a: 1}', '[[1], 2, null]', '"', '[' * 1000])
def test_a_damaged_note_is_ignored(text):
    assert recorder_warnings({WARNINGS: text}) == ()


def test_the_number_of_shown_warnings_is_bounded():
    assert len(recorder_warnings({WARNINGS: yaml.safe_dump(['x'] * 1000)})) == MOST_WARNINGS
