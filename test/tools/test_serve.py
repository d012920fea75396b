# SPDX-License-Identifier: Apache-2.0
"""`aura serve`: the program as a user starts it, with a client that stays connected until the end."""

import json
import re
import signal
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip('msgpack')
pytest.importorskip('websockets')
from aura_ros.common.arguments import WRONG_USE
from aura_ros.common.program import INTERRUPTED
from aura_ros.tools.serve.main import main
from aura_ros.vla import load_backbone
from aura_ros.vla.protocol import Observation
from aura_ros.vla.remote import Contract


def test_serves_the_embedded_backbone_until_it_is_stopped() -> None:
    words = [sys.executable, '-m', 'aura_ros.cli', 'serve', '--port', '0']
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as child:
        try:
            assert child.stdout
            lines = [child.stdout.readline() for _ in range(3)]
            url = re.search(r'ws://127\.0\.0\.1:\d+', lines[2])
            assert url, lines
            remote, local = load_backbone('remote', url.group()), load_backbone('embedded')
            image = np.full((48, 64, 3), 90, np.uint8)
            seen = Observation({'front': image, 'wrist': image}, np.zeros(8, np.float32), 'touch the red block')
            assert remote.infer(seen).features.tobytes() == local.infer(seen).features.tobytes()
            child.send_signal(signal.SIGINT)
            assert child.wait(60) == INTERRUPTED
        finally:
            child.kill()


def test_describe_prints_the_contract(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(['--describe']) == 0
    found = Contract.from_metadata(json.loads(capsys.readouterr().out))
    assert found is not None
    assert found.spec.backbone_hash == load_backbone('embedded').spec.backbone_hash


@pytest.mark.parametrize(
    ('words', 'problem'),
    [
        (['--backbone', 'nothing'], "--backbone: there is no 'nothing'; choose from embedded"),
        (['--port', '70000'], "--port: '70000': must be an integer from 0 to 65535"),
        (['--checkpoint', 'folder'], 'must be left out'),
    ],
)
def test_wrong_use_is_one_line(words: list[str], problem: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == WRONG_USE
    error = capsys.readouterr().err
    assert problem in error
    assert error.count('\n') == 1
