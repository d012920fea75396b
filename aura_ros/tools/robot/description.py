# SPDX-License-Identifier: Apache-2.0
"""The URDF that a running robot publishes."""

from std_msgs.msg import String

from aura_ros.ros.graph import TopicError, open_graph
from aura_ros.ros.watch import Watch

_TYPE = 'std_msgs/msg/String'


def published_description(topic: str, timeout_s: float) -> str:
    """Return the newest message of a topic such as /robot_description.

    Args:
        topic: full name of the topic.
        timeout_s: longest wait for the message, after the topic is found [s].

    Raises:
        TopicError: there is no such topic, it has another type, or no message arrives.
    """
    with open_graph() as graph:
        name, kind = graph.resolve(topic)
        if kind != _TYPE:
            raise TopicError(f'{name} has the type {kind}: must be {_TYPE} with a URDF')
        texts: list[str] = []
        watch = Watch(graph, name, String, lambda message, _: texts.append(message.data), depth=1)

        def received() -> bool:
            watch.match()
            return bool(texts)

        if not graph.spin(timeout_s, received):
            raise TopicError(
                f'no message on {name} within {timeout_s:g} s: start robot_state_publisher, or give a URDF file'
            )
        return texts[-1]
