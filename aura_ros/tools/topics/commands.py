# SPDX-License-Identifier: Apache-2.0
"""The commands of aura-topics; each is given the graph and the command line's options."""

from __future__ import annotations

import argparse
import math
import statistics
import sys
import time
from collections import deque
from itertools import pairwise
from typing import Any

from aura_ros.ros.graph import DISCOVERY_S, TopicGraph, Watch, message_class
from aura_ros.tools.topics.calls import call, goal
from aura_ros.tools.topics.table import show_table
from aura_ros.tools.topics.text import NoEntryError, as_text, select

_MATCH_S = 0.5
_REPORT_S = 1.0
# Messages kept while the terminal is slow, and asked for of a topic that keeps its past.
_ECHO_DEPTH = 1000
_HZ_DEPTH = 1000
# `hz` tells of as many periods at most.
_HZ_WINDOW = 1000


def list_topics(graph: TopicGraph, options: argparse.Namespace) -> None:
    """Print the names, with `types` also the types."""
    for topic, types in graph.discover().items():
        print(f'{topic} [{", ".join(types)}]' if options.types else topic)


def echo(graph: TopicGraph, options: argparse.Namespace) -> None:
    """Print messages of `topic`: `count` or without end, whole or one `field`."""
    topic, type_name = graph.resolve(options.topic)
    kind = message_class(type_name)
    if options.field:
        _check_field(kind, options.field)
    left = options.count
    silent_from = time.monotonic() + DISCOVERY_S

    def show(message: Any, _sent_ns: int) -> None:
        nonlocal left, silent_from
        silent_from = math.inf
        if left == 0:
            return
        print(_shown(message, options.field, options.full), '---', sep='\n', flush=True)
        left = None if left is None else left - 1

    # As few as are asked for: of a past then only the newest.
    watch = Watch(graph, topic, kind, show, depth=min(options.count or _ECHO_DEPTH, _ECHO_DEPTH))
    while not graph.spin(_MATCH_S, lambda: left == 0):
        watch.match()
        if time.monotonic() > silent_from:
            silent_from = math.inf
            print(
                f'no message on {topic} in {DISCOVERY_S:.0f} s, publishers: {watch.publishers}; '
                'still waiting, Ctrl-C ends',
                file=sys.stderr,
            )


def _check_field(kind: Any, path: str) -> None:
    """Refuse a field that no message of this kind has, before the first one comes."""
    try:
        select(kind(), path)
    except NoEntryError:
        return  # a new message's lists are empty


def _shown(message: Any, field: str | None, full: bool) -> str:
    if not field:
        return as_text(message, whole=full)
    try:
        return as_text(*select(message, field), whole=full)
    except NoEntryError as error:
        return f'# {error}'


class _Arrivals:
    """When messages came, on the steady clock."""

    def __init__(self) -> None:
        self._at: deque[float] = deque(maxlen=_HZ_WINDOW + 1)
        self._fresh = 0

    def add(self, _message: Any, _sent_ns: int) -> None:
        self._at.append(time.monotonic())
        self._fresh += 1

    def report(self) -> str:
        fresh, self._fresh = self._fresh, 0
        at = list(self._at)
        if len(at) < 2 or not fresh:
            return 'no new messages' if not fresh else 'one message so far'
        periods = [after - before for before, after in pairwise(at)]
        return (
            f'{len(periods) / (at[-1] - at[0]):.3f} Hz, period min {min(periods):.4f} s, '
            f'max {max(periods):.4f} s, std dev {statistics.pstdev(periods):.4f} s, '
            f'window {len(periods)}'
        )


def hz(graph: TopicGraph, options: argparse.Namespace) -> None:
    """Print rate and jitter of `topic` once a second."""
    topic, type_name = graph.resolve(options.topic)
    arrivals = _Arrivals()
    watch = Watch(graph, topic, message_class(type_name), arrivals.add, depth=_HZ_DEPTH, past=False, raw=True)
    report_at = time.monotonic() + _REPORT_S
    while True:
        watch.match()
        graph.spin(min(_MATCH_S, max(0.0, report_at - time.monotonic())))
        if time.monotonic() >= report_at:
            report_at += _REPORT_S
            print(arrivals.report() if watch.publishers else 'no publisher', flush=True)


def table(graph: TopicGraph, _options: argparse.Namespace) -> None:
    """Show all topics live."""
    show_table(graph)


# Each returns the exit code, or None for 0.
COMMANDS = {'list': list_topics, 'echo': echo, 'hz': hz, 'table': table, 'call': call, 'goal': goal}
