# SPDX-License-Identifier: Apache-2.0
"""The names that the whole package shares: policies, tasks and kinds of task events, each list once."""

from __future__ import annotations

from enum import IntEnum


class Policy(IntEnum):
    """Who proposes actions; the numbers of ActionChunk.POLICY_*."""

    BASE = 0
    AURA = 1
    KV = 2


POLICIES = tuple(policy.name.lower() for policy in Policy)
"""Names of the policies, by number."""

TASKS = ('recall', 'put_back', 'visible', 'place')
"""Tasks of the embedded robot, in the order of their seeds."""

PANEL_TASKS = ('recall', 'visible', 'put_back')
"""Tasks that the panel compares. `place` only serves to train the VLA."""

EVENT_KINDS = ('cue', 'cue_repeat', 'distractor', 'reshuffle', 'go', 'round_success', 'round_failure')
"""Kinds of task events, by their number in TaskEvent."""
