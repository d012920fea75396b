# SPDX-License-Identifier: Apache-2.0
"""Which robots are on the graph: every namespace in which one of our nodes publishes is one."""

from collections.abc import Callable, Iterable, Sequence

# Topics, relative to the robot's namespace, and their types: each of them makes a robot.
MARKS = {
    'aura/gate': 'aura_ros/msg/GateSample',
    'kv/gate': 'aura_ros/msg/GateSample',
    'policy_status': 'aura_ros/msg/PolicyStatus',
    'vla_step': 'aura_ros/msg/VlaStep',
}


def find(topics: Iterable[tuple[str, Sequence[str]]], publishers: Callable[[str], int]) -> tuple[str, ...]:
    """Return the namespaces of all robots, sorted: '' or '/name'.

    Args:
        topics: full names with their types, as Node.get_topic_names_and_types gives them.
        publishers: how many publish a topic; one that is only listened to makes no robot.
    """
    found = set()
    for topic, types in topics:
        for mark, kind in MARKS.items():
            if topic.endswith(f'/{mark}') and kind in types:
                namespace = topic.removesuffix(f'/{mark}')
                if namespace not in found and publishers(topic):
                    found.add(namespace)
    return tuple(sorted(found))


def label(namespace: str) -> str:
    """Name a robot for people."""
    return namespace.lstrip('/') or '(no namespace)'
