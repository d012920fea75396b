# SPDX-License-Identifier: Apache-2.0
"""The commands of `aura topics`. Each takes the graph and the parsed command line, and returns the exit code."""

import argparse
import math
import sys
import time
from collections.abc import Callable
from typing import Any

from aura_ros.common.text import printable
from aura_ros.ros.graph import DISCOVERY_S, TopicGraph, message_class
from aura_ros.ros.watch import Watch
from aura_ros.tools.topics.calls import call, goal
from aura_ros.tools.topics.text import NoEntryError, as_text, select

_MATCH_S = 0.5
_DEPTH = 1000
"""Messages buffered while the terminal is slow, and requested from a transient local topic."""


def list_topics(graph: TopicGraph, options: argparse.Namespace) -> int:
    """Print the names of all topics; with `types` also their types."""
    for topic, types in graph.discover().items():
        print(printable(f'{topic} [{", ".join(types)}]' if options.types else topic))
    return 0


def echo(graph: TopicGraph, options: argparse.Namespace) -> int:
    """Print `count` messages of `topic`, or all until Ctrl-C; the whole message or one `field`."""
    topic, type_name = graph.resolve(options.topic)
    kind = message_class(type_name)
    if options.field:
        _check_field(kind, options.field)
    left = options.count
    warn_at = time.monotonic() + DISCOVERY_S

    def show(message: Any, _sent_ns: int) -> None:
        nonlocal left, warn_at
        warn_at = math.inf
        if left == 0:
            return
        print(_shown(message, options.field, options.full), '---', sep='\n', flush=True)
        left = None if left is None else left - 1

    # A transient local topic with --once delivers only its newest message.
    watch = Watch(graph, topic, kind, show, depth=min(options.count or _DEPTH, _DEPTH))
    while not graph.spin(_MATCH_S, lambda: left == 0):
        watch.match()
        if time.monotonic() > warn_at:
            warn_at = math.inf
            print(
                f'no message on {topic} for {DISCOVERY_S:.0f} s ({watch.publishers} publishers); '
                'still waiting, Ctrl-C stops',
                file=sys.stderr,
            )
    return 0


def _check_field(kind: Any, path: str) -> None:
    """Refuse a field that the message type does not have, before the first message arrives."""
    try:
        select(kind(), path)
    except NoEntryError:
        return  # the lists of a default message are empty


def _shown(message: Any, field: str | None, full: bool) -> str:
    if not field:
        return as_text(message, whole=full)
    try:
        return as_text(*select(message, field), whole=full)
    except NoEntryError as error:
        return f'# {error}'


COMMANDS: dict[str, Callable[[TopicGraph, argparse.Namespace], int]] = {
    'list': list_topics,
    'echo': echo,
    'call': call,
    'goal': goal,
}
