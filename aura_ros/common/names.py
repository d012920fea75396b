# SPDX-License-Identifier: Apache-2.0
"""The names that the whole package shares: policies, tasks and kinds of task events, each list once."""

from enum import IntEnum


class Policy(IntEnum):
    """The policies; the numbers of ActionChunk.POLICY_*."""

    BASE = 0
    AURA = 1
    KV = 2


POLICIES = tuple(policy.name.lower() for policy in Policy)
"""Names of the policies, by number."""

TASKS = ('recall', 'put_back', 'visible', 'place')
"""Tasks of the embedded robot, in the order of their seeds."""

PANEL_TASKS = ('recall', 'visible', 'put_back')
"""Tasks that the panel compares; `place` is only for training the VLA."""


class EventKind(IntEnum):
    """What happened in the task; the numbers of TaskEvent."""

    CUE = 0
    CUE_REPEAT = 1
    DISTRACTOR = 2
    RESHUFFLE = 3
    GO = 4
    ROUND_SUCCESS = 5
    ROUND_FAILURE = 6


EVENT_KINDS = tuple(kind.name.lower() for kind in EventKind)
"""Names of the kinds of task events, by number."""
