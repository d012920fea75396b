# SPDX-License-Identifier: Apache-2.0
"""The argument `cameras`: names of the backbone, topics, and sentences for everything else."""

import pytest

from aura_ros.common.errors import ConfigError
from aura_ros.vla.cameras import camera_topics, candidates, recorded_topic

NAMES = ('front', 'top')


def test_topics_are_in_the_order_of_the_backbone() -> None:
    found = camera_topics('{top: /cam2/image_raw/compressed, front: " /cam0/image_raw "}', NAMES)
    assert list(found.items()) == [('front', '/cam0/image_raw'), ('top', '/cam2/image_raw/compressed')]
    assert camera_topics('front: cam0\ntop: cam0', NAMES) == {'front': 'cam0', 'top': 'cam0'}
    assert camera_topics('{any: a}') == {'any': 'a'}


def test_without_a_mapping_the_topics_have_the_names_of_the_cameras() -> None:
    assert camera_topics(' ', NAMES) == {'front': 'camera/front/image_raw', 'top': 'camera/top/image_raw'}


@pytest.mark.parametrize(
    ('text', 'words'),
    [
        ('{front: /a}', r'each camera of the backbone \(front, top\).*missing: top; unknown: none'),
        ('{front: /a, top: /b, side: /c, rear: /d}', 'missing: none; unknown: side, rear'),
        ('{front: /a, left: /b}', 'missing: top; unknown: left'),
        ('/cam0/image_raw', "is '/cam0/image_raw': must be a mapping of cameras to topics"),
        ('[front, top]', 'must be a mapping of cameras to topics'),
        ('{front: /a, top: }', 'top is None, which is not a topic'),
        ('{front: /a, top: 3}', 'top is 3, which is not a topic'),
        ('{front: /a, top: {x: y}}', 'which is not a topic'),
        ('{front: /a, front: /b, top: /c}', 'given twice'),
        ('{front: /a, 7: /b}', 'not a string'),
        ('{front: /a', 'not valid YAML'),
        ('front:=/a', 'must be a mapping'),
        ('[' * 100 + ']' * 100, 'nesting is limited'),
        ('!!python/object/apply:os.system [ls]', 'not valid YAML'),
    ],
)
def test_everything_else_is_refused_with_a_sentence(text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as error:
        camera_topics(text, NAMES)
    assert str(error.value).startswith("parameter 'cameras'")


def test_a_topic_without_a_transport_stands_for_its_compressed_form_too() -> None:
    assert candidates('/a') == ('/a', '/a/compressed') and candidates('/a/compressed') == ('/a/compressed',)
    recorded = ['/a', '/a/compressed', '/b/compressed']
    assert recorded_topic('/a', recorded) == '/a' and recorded_topic('a', recorded) == '/a'
    assert recorded_topic('b', recorded) == '/b/compressed'
    assert recorded_topic('/c', recorded) == '/c'
