# SPDX-License-Identifier: Apache-2.0
"""Which robots are on the graph: each namespace in which one of our nodes publishes."""

from collections.abc import Callable, Iterable, Sequence

# Topics relative to the namespace of the robot, and their types. A publisher of any of them makes a robot.
ROBOT_TOPICS = {
    'aura/gate': 'aura_ros/msg/GateSample',
    'kv/gate': 'aura_ros/msg/GateSample',
    'policy_status': 'aura_ros/msg/PolicyStatus',
    'vla_step': 'aura_ros/msg/VlaStep',
}


def find(topics: Iterable[tuple[str, Sequence[str]]], publishers: Callable[[str], int]) -> tuple[str, ...]:
    """Return the namespaces of all robots, sorted: '' or '/name'.

    Args:
        topics: full names with their types, as returned by Node.get_topic_names_and_types.
        publishers: returns the number of publishers of a topic; a topic with subscribers only makes no robot.
    """
    found = set()
    for topic, types in topics:
        for name, kind in ROBOT_TOPICS.items():
            if topic.endswith(f'/{name}') and kind in types:
                namespace = topic.removesuffix(f'/{name}')
                if namespace not in found and publishers(topic):
                    found.add(namespace)
    return tuple(sorted(found))


def label(namespace: str) -> str:
    """Return the name of a robot for the screen."""
    return namespace.lstrip('/') or '(no namespace)'
