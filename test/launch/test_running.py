# SPDX-License-Identifier: Apache-2.0
"""`aura launch` as a process, with both back ends: exit codes, and no process left behind."""

import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Write = Callable[..., Path]
Start = Callable[..., Any]

TWO = """\
    launch:
    - let: {name: sigterm_timeout, value: '0.5'}
    - let: {name: sigkill_timeout, value: '0.5'}
    - node: {pkg: aura_ros, exec: sim_node, output: screen}
    - node: {pkg: aura_ros, exec: panel, output: screen, on_exit: shutdown}
    """


def test_ctrl_c_ends_everything(back_end: str, start: Start, write: Write) -> None:
    launched = start(back_end, write(TWO))
    launched.nodes(2)
    launched.process.send_signal(signal.SIGINT)
    assert launched.wait() == 130
    launched.wait_for_no_children()
    assert 'sim_node was interrupted' in launched.output
    assert 'panel was interrupted' in launched.output


def test_a_node_that_ignores_signals_is_killed(back_end: str, start: Start, write: Write) -> None:
    launched = start(back_end, write(TWO), wish={'sim_node': {'stubborn': True}})
    launched.nodes(2)
    launched.process.send_signal(signal.SIGINT)
    assert launched.wait() == 130
    launched.wait_for_no_children()


def test_children_of_a_node_are_ended(back_end: str, start: Start, write: Write) -> None:
    launched = start(back_end, write(TWO), wish={'panel': {'leaves_child': True, 'life_s': 0.2}})
    launched.nodes(2)
    assert launched.wait() == 0
    launched.wait_for_no_children()


@pytest.mark.parametrize('stubborn', [False, True])
def test_no_orphans_when_killed(back_end: str, start: Start, write: Write, stubborn: bool) -> None:
    launched = start(back_end, write(TWO), wish={'sim_node': {'stubborn': stubborn}})
    launched.nodes(2)
    launched.process.kill()
    launched.wait()
    launched.wait_for_no_children()


@pytest.mark.parametrize(
    ('wish', 'code'), [({'code': 0}, 0), ({'code': 3}, 3), ({'dies_by': int(signal.SIGKILL)}, 128 + signal.SIGKILL)]
)
def test_the_exit_code_is_that_of_the_node_that_ends_the_launch(
    back_end: str, start: Start, write: Write, wish: dict[str, int], code: int
) -> None:
    launched = start(back_end, write(TWO), wish={'panel': {'life_s': 0.2, **wish}})
    assert launched.wait() == code
    launched.wait_for_no_children()


@pytest.mark.parametrize('code', [0, 1])
def test_otherwise_the_exit_code_is_1_if_a_node_failed(back_end: str, start: Start, write: Write, code: int) -> None:
    path = write("""\
        launch:
        - node: {pkg: aura_ros, exec: sim_node}
        - node: {pkg: aura_ros, exec: vla_node}
        """)
    wish = {'sim_node': {'life_s': 0.1, 'code': 4 * code}, 'vla_node': {'life_s': 0.3}}
    launched = start(back_end, path, wish=wish)
    assert launched.wait() == code
    assert len(launched.nodes(2)) == 2


def test_a_node_is_restarted(back_end: str, start: Start, write: Write) -> None:
    path = write("""\
        launch:
        - node: {pkg: aura_ros, exec: sim_node, respawn: 'true', respawn_delay: 0.1}
        """)
    launched = start(back_end, path, wish={'sim_node': {'life_s': 0.1, 'code': 1}})
    launched.nodes(3)
    launched.process.send_signal(signal.SIGINT)
    assert launched.wait() == 130
    launched.wait_for_no_children()


def test_restarts_of_a_node_that_ends_at_once_slow_down(start: Start, write: Write) -> None:
    path = write("""\
        launch:
        - node: {pkg: aura_ros, exec: sim_node, respawn: 'true', respawn_delay: 0.1}
        """)
    launched = start('own', path, wish={'sim_node': {'life_s': 0.0, 'code': 1}})
    began = time.monotonic()
    launched.nodes(5)
    # 0.1 + 0.2 + 0.4 + 0.8 s; a busy machine only makes it longer
    assert time.monotonic() - began >= 1.5
    launched.process.send_signal(signal.SIGINT)
    assert launched.wait() == 130


def test_sigterm_ends_everything(start: Start, write: Write) -> None:
    launched = start('own', write(TWO))
    launched.nodes(2)
    launched.process.send_signal(signal.SIGTERM)
    assert launched.wait() == 128 + signal.SIGTERM
    launched.wait_for_no_children()


def test_it_ends_when_its_output_is_closed(start: Start, write: Write) -> None:
    launched = start('own', write(TWO), wish={'sim_node': {'life_s': 0.5}})
    launched.process.stdout.readline()
    launched.process.stdout.close()
    assert launched.wait() == 128 + signal.SIGPIPE
    launched.wait_for_no_children()


def test_output_lines_begin_with_the_name_of_the_node(start: Start, write: Write) -> None:
    launched = start('own', write(TWO), wish={'panel': {'life_s': 0.2}})
    assert launched.wait() == 0
    lines = launched.output.splitlines()
    assert any('panel-2' in line and line.endswith('| panel is up') for line in lines)
    assert any(line.endswith('panel-2 ended, exit code 0') for line in lines)


def test_last_words_follow_after_the_end_of_all_nodes(back_end: str, start: Start, write: Write) -> None:
    launched = start(back_end, write(TWO), wish={'panel': {'life_s': 0.2, 'last_words': 'a table\na sentence\n'}})
    launched.nodes(2)
    assert launched.wait() == 0
    lines = launched.output.splitlines()
    assert lines[-2:] == ['a table', 'a sentence'] and any('sim_node was interrupted' in line for line in lines[:-2])


def test_parameter_files_are_removed(start: Start, write: Write) -> None:
    path = write("""\
        launch:
        - node: {pkg: aura_ros, exec: panel, param: [{name: a, value: 1}], on_exit: shutdown}
        """)
    launched = start('own', path, wish={'panel': {'life_s': 0.2}})
    (node,) = launched.nodes(1)
    assert launched.wait() == 0
    (written,) = node['files']
    assert not Path(written).exists()
