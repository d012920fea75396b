# SPDX-License-Identifier: Apache-2.0
"""Roles of topics and joints by their names, for the proposed mapping."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher

from aura_ros.recordings.types import Topic

COMMANDS = (
    'command',
    'cmd',
    'target',
    'action',
    'goal',
    'desired',
    'reference',
    'setpoint',
    'leader',
    'master',
    'teleop',
    'trajectory',
    'servo',
)
"""Words in the names of topics that command a robot, or that an operator moves."""
MEASURED = ('follower', 'puppet', 'slave', 'measured', 'state', 'feedback', 'observation')
"""Words in the names of topics with measured positions."""
INSTRUCTIONS = ('instruction', 'task', 'prompt', 'language', 'goal')
"""Words in the names of topics and notes with an instruction."""
DEPTH = ('depth', 'disparity', 'mask', 'label')
"""Words in the names of images that are no pictures."""
_IDENTIFIERS = ('id', 'index', 'count', 'hash', 'uuid', 'code', 'version', 'state', 'status')
# Last parts of names that say nothing of the content.
_PLAIN = ('text', 'data', 'string', 'value', 'current')


@dataclass
class Notes:
    """Choices that were made, in sentences, and every candidate that was not chosen, with the reason."""

    chosen: list[str] = field(default_factory=list)
    """Choices that the user has to check."""
    rejected: list[str] = field(default_factory=list)
    """Candidates that were not chosen."""

    def add(self, text: str) -> None:
        """Add a choice."""
        self.chosen.append(text)

    def reject(self, role: str, topics: Iterable[Topic], reason: str) -> None:
        """Add candidates that were not chosen for a role."""
        self.rejected += [f'{role}: {topic.name} is not used: {reason}' for topic in topics]


def is_command(topic: Topic) -> bool:
    """Return whether the name of a topic is that of commands."""
    return _has(topic.name, COMMANDS)


def is_measured(topic: Topic) -> bool:
    """Return whether the name of a topic is that of measured positions."""
    return _has(topic.name, MEASURED) and not is_command(topic)


def is_depth(topic: Topic) -> bool:
    """Return whether the name of a camera's topic is that of depth or labels."""
    return _has(topic.name, DEPTH)


def is_instruction(name: str) -> bool:
    """Return whether the last part of the name of a topic, or of a note's key, is that of an instruction."""
    parts = [part for part in re.split(r'[/.]', name.lower()) if part and part not in _PLAIN]
    words = [word for word in re.split(r'[^a-z]+', parts[-1]) if word] if parts else []
    return bool(words) and _has(parts[-1], INSTRUCTIONS) and words[-1] not in _IDENTIFIERS


def _has(name: str, words: Sequence[str]) -> bool:
    return any(word in name.lower() for word in words)


def twin_namespace(topic: str, other: str) -> str:
    """Return the namespace of `other` if it has the same name as `topic` in another namespace, else ''."""
    parts, others = topic.split('/'), other.split('/')
    apart = [number for number, pair in enumerate(zip(parts, others, strict=False)) if pair[0] != pair[1]]
    if len(parts) != len(others) or len(apart) != 1 or apart[0] == len(parts) - 1:
        return ''
    return '/'.join(others[: apart[0] + 1])


def likeness(one: str, other: str) -> float:
    """Return how alike two names of topics are without their first namespaces [0..1]."""
    ends = [name.lstrip('/').split('/', 1)[-1] for name in (one, other)]
    return SequenceMatcher(None, ends[0], ends[1]).ratio()


@dataclass(frozen=True)
class Pairing:
    """Recorded names of joints."""

    names: dict[str, str]
    """Recorded name of each joint whose name differs."""
    missing: tuple[str, ...]
    """Joints without a recorded name."""
    note: str = ''
    """How the names were paired; '' if all are equal."""

    def among(self, recorded: Sequence[str]) -> dict[str, str]:
        """Return the part of `names` whose recorded names are in `recorded`, as for one topic of several."""
        return {name: other for name, other in self.names.items() if other in recorded}


def paired(wanted: Sequence[str], recorded: Sequence[str]) -> Pairing:
    """Return the recorded name of each wanted joint: the same, one that ends with it, or the next one in order."""
    missing = [name for name in wanted if name not in recorded]
    free = [name for name in recorded if name not in wanted]
    ends = {name: [one for one in free if re.search(rf'(^|[^a-zA-Z0-9]){re.escape(name)}$', one)] for name in missing}
    by_end = {name: found[0] for name, found in ends.items() if len(found) == 1}
    if len(set(by_end.values())) == len(by_end) == len(missing):
        how, names = 'by their ends', by_end
    elif len(free) >= len(missing):
        how, names = 'in order', dict(zip(missing, free, strict=False))
    else:
        return Pairing({}, tuple(missing))
    pairs = ', '.join(f'{a} = {b}' for a, b in names.items())
    return Pairing(names, (), f'names differ and were paired {how}: {pairs}' if names else '')
