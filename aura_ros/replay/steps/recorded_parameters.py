# SPDX-License-Identifier: Apache-2.0
"""Parameters of nodes in the notes of a recording; the recorder stores those of every node."""

from collections.abc import Mapping

from aura_ros.common.errors import ConfigError
from aura_ros.common.yaml_lines import parse_yaml
from aura_ros.recordings.bags import Bag
from aura_ros.recordings.types import PARAMETERS, Topic
from aura_ros.vla.cameras import camera_topics, recorded_topic
from aura_ros.vla.protocol import BackboneSpec


def recorded_parameters(bag: Bag, node: str) -> dict[str, Mapping[str, object]]:
    """Return the recorded parameters by full name of each node with the name `node`."""
    try:
        nodes = parse_yaml(bag.metadata.get(PARAMETERS, ''), PARAMETERS)
    except ConfigError:
        return {}
    return {
        str(name): values
        for name, values in (nodes.items() if isinstance(nodes, Mapping) else ())
        if str(name).endswith(f'/{node}') and isinstance(values, Mapping)
    }


def recorded_cameras(bag: Bag, topics: list[Topic], spec: BackboneSpec) -> dict[str, str]:
    """Return the topic of each camera by the recorded parameter `cameras` of vla_node; {} if it names other topics."""
    names = [topic.name for topic in topics]
    for node, values in recorded_parameters(bag, 'vla_node').items():
        namespace = node.rpartition('/')[0]
        try:
            found = camera_topics(str(values.get('cameras', '')), spec.cameras)
        except ConfigError:
            continue
        full = {camera: topic if topic.startswith('/') else f'{namespace}/{topic}' for camera, topic in found.items()}
        found = {camera: recorded_topic(topic, names) for camera, topic in full.items()}
        if values.get('cameras') and set(found.values()) <= set(names):
            return found
    return {}
