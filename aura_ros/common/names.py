# SPDX-License-Identifier: Apache-2.0
"""The names that the whole package shares: policies, tasks, memories and kinds of task events, each list once."""

from collections.abc import Sequence
from enum import IntEnum

from aura_ros.common.arguments import near
from aura_ros.common.errors import ConfigError


class Policy(IntEnum):
    """The policies; the numbers of ActionChunk.POLICY_*."""

    BASE = 0
    AURA = 1
    KV = 2


POLICIES = tuple(policy.name.lower() for policy in Policy)
"""Names of the policies, by number."""

VLA_TASKS = ('visible', 'place', 'visible_sequence', 'visible_both', 'visible_many')
"""Tasks that need no memory. The VLA learns its actions from them."""

TASKS = ('recall', 'put_back', 'visible', 'place', 'sequence', 'both', 'many', *VLA_TASKS[2:])
"""Tasks of the embedded robot, in the order of their seeds."""

PANEL_TASKS = ('recall', 'visible', 'put_back', 'sequence', 'both', 'many')
"""Tasks that the panel compares, and that a memory is trained on. The others are only for training the VLA."""

TRAINED_MEMORIES = ('aura', 'kv', 'always', 'gru', 'lstm', 'ssm', 'elmur', 'memoryless')
"""Memories that can be trained, with AURA's number of parameters. random and periodic would need a budget."""


class EventKind(IntEnum):
    """What happened in the task; the numbers of TaskEvent."""

    CUE = 0
    CUE_REPEAT = 1
    DISTRACTOR = 2
    RESHUFFLE = 3
    GO = 4
    ROUND_SUCCESS = 5
    ROUND_FAILURE = 6
    PART = 7


EVENT_KINDS = tuple(kind.name.lower() for kind in EventKind)
"""Names of the kinds of task events, by number."""


def names_in(text: str, allowed: Sequence[str], what: str) -> tuple[str, ...]:
    """Return the names in a comma-separated list.

    Args:
        text: one or more names, each once.
        allowed: names that may occur.
        what: the beginning of the error message.

    Raises:
        ConfigError: another name, a name twice, or none.
    """
    found = tuple(entry.strip() for entry in text.split(',') if entry.strip())
    unknown = [name for name in found if name not in allowed]
    if not found or unknown or len(set(found)) != len(found):
        hint = near(unknown[0], allowed) if unknown else ''
        then = f'{hint} Allowed' if hint else ', allowed'
        raise ConfigError(f'{what}{then}: one or more of {", ".join(allowed)}, each once')
    return found
