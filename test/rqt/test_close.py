# SPDX-License-Identifier: Apache-2.0
"""The window closes and its process ends, whatever the middleware does; damaged messages do not end the bridge."""

import os
import signal
import subprocess
import sys
import time

import pytest

pytest.importorskip('rclpy')
pytest.importorskip('pyqtgraph')

# Destroying a node blocks forever: with Python's lock free, with the lock held, or only at the end of the interpreter.
_BLOCK = {
    'lock free': 'Node.destroy_node = lambda node: time.sleep(1000)',
    'lock held': 'Node.destroy_node = lambda node: ctypes.PyDLL(None).sleep(1000)',
    'interpreter': 'import atexit; atexit.register(time.sleep, 1000)',
    'not at all': '',
}
_PROGRAM = """
import ctypes, sys, threading, time
from PyQt5 import QtCore
from rclpy.node import Node
from aura_ros.rqt import monitor, window
{block}
show = monitor.Monitor.show
def shown(self):
    show(self)
    QtCore.QTimer.singleShot(500, lambda: print('ready', flush=True))
    if {closed!r}:
        QtCore.QTimer.singleShot(1000, self.close)
monitor.Monitor.show = shown
sys.exit(window.main([]))
"""


@pytest.mark.graph
@pytest.mark.fault('F36')
@pytest.mark.parametrize('closed', [True, False], ids=['closed', 'SIGINT'])
@pytest.mark.parametrize('how', _BLOCK)
def test_the_process_ends_although_the_middleware_never_returns(how, closed, domain, measured):
    program = _PROGRAM.format(block=_BLOCK[how], closed=closed)
    env = os.environ | {'ROS_DOMAIN_ID': str(domain), 'QT_QPA_PLATFORM': 'offscreen'}
    process = subprocess.Popen([sys.executable, '-c', program], env=env, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == 'ready\n'
    began = time.monotonic()
    if not closed:
        process.send_signal(signal.SIGINT)
    code = process.wait(60)
    assert code == (0 if how in ('lock free', 'not at all') else -signal.SIGALRM)
    measured(f'middleware blocks ({how}): process over after {time.monotonic() - began:.1f} s')
