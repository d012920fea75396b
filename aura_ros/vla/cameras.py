# SPDX-License-Identifier: Apache-2.0
"""The topics of the cameras of a backbone, from one line of YAML such as `{front: /cam0/image_raw}`."""

from collections.abc import Collection, Sequence

from aura_ros.common.errors import ConfigError
from aura_ros.common.yaml_lines import parse_mapping

COMPRESSED_SUFFIX = '/compressed'
"""End of the names of topics with compressed images, by the convention of image_transport."""
_PARAMETER = "parameter 'cameras'"
_EXAMPLE = "a mapping of cameras to topics, such as '{front: /cam0/image_raw, top: /cam2/image_raw/compressed}'"


def camera_topics(text: str, cameras: Sequence[str] | None = None) -> dict[str, str]:
    """Return the topic of each camera, in the order of `cameras`.

    Args:
        text: YAML mapping of camera names to topics; '' gives camera/NAME/image_raw for each camera.
        cameras: names of the backbone; None accepts every name, in the order of the text.

    Raises:
        ConfigError: the text is not such a mapping, or its names are not those of the backbone.
    """
    if not text.strip():
        return {name: f'camera/{name}/image_raw' for name in cameras or ()}
    given = parse_mapping(text, _PARAMETER, _EXAMPLE)
    for name, topic in given.items():
        if not isinstance(topic, str) or not topic.strip():
            raise ConfigError(f'{_PARAMETER}: {name} is {topic!r}, which is not a topic: must be {_EXAMPLE}')
    found = {name: topic.strip() for name, topic in given.items()}
    if cameras is None:
        return found
    if set(found) != set(cameras):
        unknown = ', '.join(name for name in found if name not in cameras) or 'none'
        missing = ', '.join(name for name in cameras if name not in found) or 'none'
        raise ConfigError(
            f'{_PARAMETER} must name each camera of the backbone ({", ".join(cameras)}) and no other; '
            f'missing: {missing}; unknown: {unknown}'
        )
    return {name: found[name] for name in cameras}


def candidates(topic: str) -> tuple[str, ...]:
    """Return the topics that can carry the images of a camera, the preferred one first."""
    return (topic,) if topic.endswith(COMPRESSED_SUFFIX) else (topic, topic + COMPRESSED_SUFFIX)


def recorded_topic(topic: str, recorded: Collection[str]) -> str:
    """Return the name in a recording of a camera's topic: with a leading '/', or its compressed one.

    The name itself is returned if the recording has none of them.
    """
    names = [found for name in (topic, f'/{topic}') for found in candidates(name)]
    return next((name for name in names if name in recorded), topic)
