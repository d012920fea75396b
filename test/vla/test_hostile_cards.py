# SPDX-License-Identifier: Apache-2.0
"""A card that is no card gives one sentence with the name of its file, and the traceback goes to the debug log."""

import logging
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import pytest

from aura_ros.common.errors import ConfigError
from aura_ros.memory.weights import load_weights
from aura_ros.vla.embedded import EmbeddedVla

pytestmark = pytest.mark.fault('F34')
CARDS = (b'[]', b'null', b'7', b'{', b'{"name": "Sch\xe9"}', b'{}', b'{"a": ' * 5000, b'{"image_size": 1e999}')


def test_a_card_that_is_no_card_is_refused_in_one_sentence(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, measured: Callable[[str], None]
) -> None:
    caplog.set_level(logging.DEBUG)
    backbone, weights = tmp_path / 'x.onnx', tmp_path / 'y.safetensors'
    backbone.write_bytes(Path(str(files('aura_ros.vla') / 'weights/embedded.onnx')).read_bytes())
    weights.write_bytes(b'')
    for text in CARDS:
        for file, load in ((backbone, EmbeddedVla), (weights, lambda path: load_weights('aura', path))):
            file.with_suffix('.json').write_bytes(text)
            with pytest.raises(ConfigError) as error:
                load(str(file))
            shown = str(error.value)
            assert file.stem in shown and '\n' not in shown and len(shown) < 500
    assert 'Traceback' in caplog.text
    measured(f'{2 * len(CARDS)} cards of weights and backbones that are no cards: one sentence each')


@pytest.mark.parametrize('entry', [b'\x0a\x08location\x12\x05e.bin', b'\x12\x05e.bin\x0a\x08location'])
def test_a_backbone_with_weights_in_another_file_is_refused(tmp_path: Path, entry: bytes) -> None:
    shipped = Path(str(files('aura_ros.vla') / 'weights/embedded.onnx'))
    (tmp_path / 'x.json').write_bytes(shipped.with_suffix('.json').read_bytes())
    (tmp_path / 'x.onnx').write_bytes(shipped.read_bytes() + entry)
    with pytest.raises(ConfigError, match='another file'):
        EmbeddedVla(str(tmp_path / 'x.onnx'))
