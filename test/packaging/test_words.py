# SPDX-License-Identifier: Apache-2.0
"""The tracked text uses plain words and the current names, in prose and in identifiers."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WORD_LIST = 'tools/plain_words.txt'
# Path or folder, with the reason why old words are allowed there.
EXCEPTIONS = {
    WORD_LIST: 'lists the words',
    'test/packaging/test_words.py': 'lists the phrases and names',
    'CHANGELOG.rst': 'describes earlier versions',
    'LICENSE': 'legal text',
    'lerobot_policy_aura/LICENSE': 'legal text',
    'aura_ros/replay/report/templates/uplot_licence.html': 'legal text',
    'constraints.txt': 'names of other packages',
    'docs/results/': 'generated data',
    'test/data/': 'recordings of version 0.1.0',
    'aura_ros/recordings/old_names.py': 'maps the names of version 0.1.0',
    'test/recordings/test_old_names.py': 'tests the names of version 0.1.0',
}
PHRASES = re.compile(
    r', for (?:nothing|nobody|none|they|it|what|there)\b|\bis told\b|\bmakes of\b'
    r'|\b(?:arm_switch|ArmSwitch|ArmStatus|arm_status|SelectArm|select_arm|pending_arm|ARM_(?:BASE|AURA|KV)|policy_hash'
    r'|chunk_len|execute_steps)\b'
)
# `file.tell()` is a method of Python's files, and `RepeatPreviousMedium` is an environment of POPGym. A word ends at an
# underscore or where the case changes.
FOREIGN = re.compile(r"\.tell\(\)|(?<=[a-z])Medium\b|'Medium'")
WORD = re.compile(r'[A-Z]?[a-z]+|[A-Z]+')


def _tracked_lines() -> list[tuple[str, str]]:
    """Return place and text of each line of the tracked text files."""
    listed = subprocess.run(['git', 'ls-files', '-z'], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode or not (ROOT / '.git').exists():
        pytest.skip('needs the git repository')
    names = [name for name in listed.stdout.split('\0') if name and not name.startswith(tuple(EXCEPTIONS))]
    texts = {name: (ROOT / name).read_bytes() for name in names if (ROOT / name).is_file()}
    return [
        (f'{name}:{number}', line)
        for name, data in texts.items()
        if b'\0' not in data
        for number, line in enumerate(data.decode('utf-8').splitlines(), 1)
    ]


def test_words_are_plain() -> None:
    unusual = {line.split('->')[0] for line in (ROOT / WORD_LIST).read_text(encoding='utf-8').splitlines()}
    found = [
        f'{place}: {word}'
        for place, line in _tracked_lines()
        for word in WORD.findall(FOREIGN.sub('', line))
        if word.lower() in unusual
    ]
    assert not found, '\n'.join(found)


def test_phrases_are_plain_and_names_are_current() -> None:
    found = [f'{place}: {match.group()}' for place, line in _tracked_lines() if (match := PHRASES.search(line))]
    assert not found, '\n'.join(found)


@pytest.mark.parametrize('path', EXCEPTIONS)
def test_exceptions_exist(path: str) -> None:
    assert (ROOT / path).exists()
