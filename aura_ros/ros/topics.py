# SPDX-License-Identifier: Apache-2.0
"""Checks of the topic names that the parameters and remaps of a node give, before rclpy raises for them."""

from collections.abc import Sequence

from rclpy.exceptions import InvalidTopicNameException
from rclpy.expand_topic_name import expand_topic_name
from rclpy.node import Node
from rclpy.validate_full_topic_name import validate_full_topic_name
from rclpy.validate_topic_name import validate_topic_name

from aura_ros.common.errors import ConfigError


def check_topic(parameter: str, topic: str, entry: str = '') -> None:
    """Raise ConfigError if `topic` cannot be the name of a topic or action.

    The text has the name of the parameter and, if it is a mapping, that of its entry.
    """
    try:
        validate_topic_name(topic)
        # These two find an unknown substitution, a repeated slash and a name that is too long.
        validate_full_topic_name(expand_topic_name(topic, 'node', '/'))
    except (InvalidTopicNameException, ValueError) as error:
        # The text of rcl ends with a place in its source code.
        text = ' '.join(str(error).partition(', at /')[0].split())
        raise ConfigError(
            f"parameter '{parameter}': {entry and entry + ': '}{topic!r} is not a topic: {text}"
        ) from error


def check_remap(node: Node, name: str, used: Sequence[str]) -> None:
    """Raise ConfigError if the topic `name` is remapped to another one, but the node uses only other topics.

    Such a remap has no effect, so the node would use topics that the user does not expect.
    """
    expanded, remapped = node.resolve_topic_name(name, only_expand=True), node.resolve_topic_name(name)
    if remapped != expanded and expanded not in [node.resolve_topic_name(topic, only_expand=True) for topic in used]:
        raise ConfigError(
            f'{name} is remapped to {remapped}, but the robot file names other topics: {", ".join(used)}; set the '
            'topic in one place: change the robot file, or remove the remap or launch argument'
        )
