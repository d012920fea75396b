# SPDX-License-Identifier: Apache-2.0
"""Which build of torch ./run installs, with a pip that only records its arguments."""

import http.server
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SIZE = ROOT / 'tools' / 'download_size.py'

# stage runs its command without the log, and pip accepts the requirements in $offered
SCRIPT = """
. "$root/tools/setup.sh"
stage() { shift 2; "$@" || die "stage failed"; }
pip_install() {
    echo "pip $*" >>"$venv/calls"
    case $* in
    *torch==*) for word in "$@"; do case " $offered " in *" $word "*) return 0 ;; esac; done; return 1 ;;
    esac
}
ensure_torch
"""


@pytest.fixture
def venv(tmp_path: Path) -> Path:
    """A folder with the parts of a virtual environment that the choice of torch looks at."""
    (tmp_path / 'lib' / 'python3.12' / 'site-packages').mkdir(parents=True)
    (tmp_path / 'bin').mkdir()
    (tmp_path / 'bin' / 'python').symlink_to(sys.executable)
    return tmp_path


def ensure_torch(venv: Path, offered: str) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    """Run ensure_torch; return the process and the calls of pip."""
    done = subprocess.run(
        ['/bin/sh', '-uc', SCRIPT],
        env={'PATH': os.environ['PATH'], 'root': str(ROOT), 'venv': str(venv), 'offered': offered},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    calls = venv / 'calls'
    return done, calls.read_text(encoding='utf-8').splitlines() if calls.exists() else []


@pytest.mark.parametrize('label', ['', '+cpu', '+cu130'])
def test_an_installed_torch_is_used(venv: Path, label: str) -> None:
    (venv / 'lib' / 'python3.12' / 'site-packages' / f'torch-2.13.0{label}.dist-info').mkdir()
    done, calls = ensure_torch(venv, 'torch==2.13.0+cpu torch==2.13.0')
    assert (done.returncode, done.stdout, calls) == (0, '', [])


def test_an_installed_torch_of_another_version_is_replaced(venv: Path) -> None:
    (venv / 'lib' / 'python3.12' / 'site-packages' / 'torch-2.13.1+cpu.dist-info').mkdir()
    done, calls = ensure_torch(venv, 'torch==2.13.0+cpu torch==2.13.0')
    assert done.returncode == 0
    assert calls[-1] == 'pip torch==2.13.0+cpu'


def test_the_cpu_build_comes_before_the_plain_build(venv: Path) -> None:
    done, calls = ensure_torch(venv, 'torch==2.13.0+cpu torch==2.13.0')
    assert (done.returncode, done.stdout) == (0, '')
    assert calls[-1] == 'pip torch==2.13.0+cpu'


def test_the_plain_build_is_installed_after_its_size_is_printed(venv: Path) -> None:
    (venv / 'torch.json').write_text('{"install": []}')
    done, calls = ensure_torch(venv, 'torch==2.13.0')
    assert done.returncode == 0
    assert 'The download is 0.0 GB (0 packages).' in done.stdout
    assert calls[-1] == 'pip torch==2.13.0'


def test_an_unknown_size_does_not_stop_the_installation(venv: Path) -> None:
    done, calls = ensure_torch(venv, 'torch==2.13.0')
    assert done.returncode == 0
    assert 'The download is several GB.' in done.stdout
    assert calls[-1] == 'pip torch==2.13.0'


def test_no_build_at_all_is_an_error(venv: Path) -> None:
    done, _ = ensure_torch(venv, '')
    assert done.returncode == 1


class Files(http.server.BaseHTTPRequestHandler):
    """Answers each HEAD request with a size of 1.25 GB."""

    def do_HEAD(self) -> None:
        """Report the size; the file itself does not exist."""
        self.send_response(200)
        self.send_header('Content-Length', '1250000000')
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Keep the output of the test clean."""


@pytest.fixture
def server() -> Iterator[str]:
    """The address of a local file server."""
    with http.server.HTTPServer(('127.0.0.1', 0), Files) as listener:
        thread = threading.Thread(target=listener.serve_forever)
        thread.start()
        yield f'http://127.0.0.1:{listener.server_port}'
        listener.shutdown()
        thread.join()


def test_download_size_adds_remote_files_only(tmp_path: Path, server: str) -> None:
    report = tmp_path / 'report.json'
    urls = [f'{server}/torch.whl', f'{server}/nvidia.whl', f'file://{tmp_path}/local.whl']
    report.write_text(json.dumps({'install': [{'download_info': {'url': url}} for url in urls]}))
    done = subprocess.run(
        [sys.executable, str(SIZE), str(report)], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (0, '2.5 GB (3 packages)\n')
