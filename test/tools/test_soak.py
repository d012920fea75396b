# SPDX-License-Identifier: Apache-2.0
"""`aura soak` on the real graph: a short one, one with a node that dies, and one that is interrupted."""

import json
import os
import signal
import subprocess
import sys

import psutil
import pytest
from ros_graph import ROOT

pytest.importorskip('mujoco')


def start(domain, report, *arguments):
    code = 'import sys; from aura_ros.tools.soak.main import main; sys.exit(main())'
    environment = dict(os.environ, ROS_DOMAIN_ID=str(domain), PYTHONPATH=str(ROOT), PYTHONUNBUFFERED='1')
    return subprocess.Popen(
        [sys.executable, '-c', code, '--report', str(report), *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def read_until(process, text):
    """Return all lines until one has `text`."""
    lines = []
    for line in process.stdout:
        lines.append(line)
        if text in line:
            return lines
    raise AssertionError(f'no line with {text!r}: {"".join(lines)}')


def test_help(capsys):
    from aura_ros.tools.soak.main import main

    with pytest.raises(SystemExit) as caught:
        main(['--help'])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    for word in ('--minutes', '--report', 'aura soak --minutes 2', 'Theil-Sen', 'exit code'):
        assert word in text


@pytest.mark.parametrize('minutes', ['0', 'ten', '-1', 'nan'])
def test_an_invalid_time_is_refused(minutes, capsys):
    from aura_ros.tools.soak.main import main

    assert main(['--minutes', minutes]) == 2
    assert 'must be a number from 0.2 to 43200' in capsys.readouterr().err


@pytest.mark.graph
@pytest.mark.render
@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_short_soak(domain, tmp_path):
    report = tmp_path / 'soak.json'
    # Loose limits: the test is about the soak and not about the load of the machine.
    loose = ('--rate-tolerance', '0.3', '--max-held', '0.5', '--max-growth-mb', '50')
    process = start(domain, report, '--minutes', '0.5', '--episode-s', '8', *loose)
    output, _ = process.communicate(timeout=200)
    assert process.returncode == 0, output
    assert 'verdict: good' in output and 'slope' in output
    found = json.loads(report.read_text())
    assert found['problem'] == '' and all(check['passed'] for check in found['verdict'])
    assert len(found['trends']) == 5 and found['counters']['episodes'] >= 3
    assert found['counters']['switches'] == 2 * found['counters']['episodes']
    assert found['counters']['writes'] > 0 and found['counters']['device_bytes'] > 0
    assert 'policy_switch_node' in report.with_suffix('.log').read_text()


@pytest.mark.graph
@pytest.mark.render
@pytest.mark.parametrize(('end', 'problem'), [('kill', 'memory_node has ended'), ('signal', 'interrupted after')])
def test_a_soak_that_ends_early_reports_the_reason_and_its_measurements(domain, tmp_path, end, problem):
    report = tmp_path / 'soak.json'
    process = start(domain, report, '--minutes', '1')
    read_until(process, 'commands/s')
    children = psutil.Process(process.pid).children(recursive=True)
    if end == 'kill':
        next(child for child in children if 'memory_node' in ' '.join(child.cmdline())).kill()
    else:
        process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert problem in output and 'verdict: NOT good' in output
    assert problem in json.loads(report.read_text())['problem']
    assert not [child for child in children if child.is_running()], 'a node was left behind'
