# SPDX-License-Identifier: Apache-2.0
"""The base class of all lifecycle nodes, and `run`, the main function of a node.

Each process has one SingleThreadedExecutor, because the multi-threaded one of rclpy 9.1 loses messages. Slow work runs
in a worker thread of its own.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterable
from typing import Any, TypedDict, Unpack

import rclpy
import rclpy.logging
from rcl_interfaces.msg import ParameterDescriptor
from rclpy.context import Context
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode as RclpyLifecycleNode
from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.signals import SignalHandlerOptions
from rclpy.task import Future

from aura_ros.common.arguments import WRONG_USE
from aura_ros.common.errors import AuraError, ConfigError
from aura_ros.common.program import FAILED, LAUNCH_MARK, stop_signals
from aura_ros.ros.contract_arguments import without_contracts
from aura_ros.ros.diagnostics import ERROR, OK, Diagnostics, Status

# Executor turns after the teardown, in which goals that it ended send their results.
_FLUSH_TURNS = 20
# The number of this request in <sys/prctl.h>.
_PR_SET_PDEATHSIG = 1


class NodeOptions(TypedDict, total=False):
    """Keyword arguments that every node accepts and passes to rclpy."""

    context: Context
    parameter_overrides: list[Parameter[Any]]


class PlainNode(Node):
    """A node without a lifecycle: it works from construction to `teardown`."""

    def teardown(self) -> None:
        """Stop working and leave the graph; called once, before the context shuts down."""


class LifecycleNode(RclpyLifecycleNode):
    """A lifecycle node whose transitions log and report their failures.

    Subclasses override `configure`, `activate`, `deactivate` and `release`, which run in the executor thread.
    `configure` and `activate` may raise AuraError or OSError. The error is then logged and reported as ERROR on
    /diagnostics, everything is released, and the transition fails.
    """

    def __init__(self, name: str, **options: Unpack[NodeOptions]) -> None:
        """Declare `autostart` and start the diagnostics, which report in every state."""
        super().__init__(name, **options)
        text = 'Configure and activate at start'
        self.declare_parameter('autostart', False, ParameterDescriptor(description=text))
        self.active = False
        self._configured = False
        self._problem = ''
        self.diagnostics = Diagnostics(self, hardware_id=name)
        self.diagnostics.add('lifecycle', self._lifecycle_status)

    # --- overridden by subclasses ---
    def configure(self) -> None:
        """Read the parameters, load models, make publishers and subscriptions."""

    def activate(self) -> None:
        """Start to work; publishers are already enabled."""

    def deactivate(self) -> None:
        """Stop working; publishers are still enabled."""

    def release(self) -> None:
        """Undo `configure`, even if it failed half-way; called once after each call of `configure`."""

    # --- called by rclpy ---
    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Run `configure`; on failure release and stay unconfigured."""
        self._configured = True
        if self._guarded('configure', self.configure):
            return super().on_configure(state)
        self._release()
        return TransitionCallbackReturn.FAILURE

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Enable the publishers and run `activate`; on failure stay inactive."""
        super().on_activate(state)
        self.active = self._guarded('activate', self.activate)
        if self.active:
            return TransitionCallbackReturn.SUCCESS
        super().on_deactivate(state)
        return TransitionCallbackReturn.FAILURE

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Run `deactivate` and silence the publishers, whatever happens."""
        self._stop()
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Run `release`."""
        self._release()
        return super().on_cleanup(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Run `deactivate` and `release` as far as they are due."""
        self.teardown()
        return TransitionCallbackReturn.SUCCESS

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Return to unconfigured after an unexpected exception; expected failures end in FAILURE."""
        self.get_logger().error(f'transition from {state.label} failed with a bug, going back to unconfigured')
        self.teardown()
        return TransitionCallbackReturn.SUCCESS

    def teardown(self) -> None:
        """Deactivate and release from any state; the second call does nothing."""
        self._stop()
        self._release()

    def autostart(self) -> bool:
        """Configure and activate if the parameter `autostart` is set; return False if that failed."""
        if not self.get_parameter('autostart').value:
            return True
        success = TransitionCallbackReturn.SUCCESS
        return self.trigger_configure() == success and self.trigger_activate() == success

    @property
    def in_use(self) -> bool:
        """Whether the node is configured, so that its parameters are in use."""
        return self._configured

    def _stop(self) -> None:
        if self.active:
            self.active = False
            self._guarded('deactivate', self.deactivate)

    def _release(self) -> None:
        if self._configured:
            self._configured = False
            self._guarded('release', self.release, forget=False)

    def _guarded(self, what: str, action: Callable[[], None], forget: bool = True) -> bool:
        try:
            action()
        except (AuraError, OSError) as error:
            self._problem = f'{what} failed: {error}'
            self.get_logger().error(self._problem)
        except Exception:
            # A bug. rclpy drops the exception silently and calls on_error.
            self._problem = f'{what} failed with a bug, see the log'
            self.get_logger().error(f'{what} failed with a bug: {traceback.format_exc()}')
            raise
        else:
            self._problem = '' if forget else self._problem
        self.diagnostics.refresh()
        return not self._problem

    def _lifecycle_status(self) -> Status:
        label = self._state_machine.current_state[1]
        if self._problem:
            return Status(ERROR, self._problem, {'state': label})
        return Status(OK, label, {'state': label})


def run(make_node: Callable[[], LifecycleNode | PlainNode], args: list[str] | None = None) -> int:
    """Run one node until SIGINT, SIGTERM or SIGHUP, call its `teardown`, and return the exit code.

    rclpy's own signal handling shuts the context down at once, with the publishers that a node needs for its last
    command. Here a signal only ends the spinning, and another one during the teardown has no effect. The death of
    `aura launch` is such a signal too.

    Returns:
        0 after a signal or an external shutdown, WRONG_USE for a parameter that cannot be used, FAILED if the node
        cannot start for another reason.
    """
    try:
        with without_contracts(args) as arguments:
            rclpy.init(args=arguments, signal_handler_options=SignalHandlerOptions.NO)
    except ConfigError as error:
        rclpy.logging.get_logger('aura_ros').fatal(str(error))
        return WRONG_USE
    executor = SingleThreadedExecutor()
    stop: Future[None] = Future()
    signals = stop_signals()
    _on_signal(signals, lambda: stop.set_result(None))
    _end_with_launcher()
    node: LifecycleNode | PlainNode | None = None
    try:
        node = make_node()
        executor.add_node(node)
        if isinstance(node, LifecycleNode) and not node.autostart():
            return FAILED
        executor.spin_until_future_complete(stop)
    except AuraError as error:
        rclpy.logging.get_logger('aura_ros').fatal(str(error))
        return WRONG_USE if isinstance(error, ConfigError) else FAILED
    except ExternalShutdownException:
        pass
    finally:
        _leave(node, executor, signals)
    return 0


def _end_with_launcher() -> None:
    """Ask the kernel for a SIGINT when `aura launch` dies, even if SIGKILL ends the launcher and its guard together."""
    launcher = os.environ.get(LAUNCH_MARK, '').partition('-')[0]
    if sys.platform == 'linux' and launcher == str(os.getppid()):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGINT)


def _on_signal(signals: Iterable[signal.Signals], act: Callable[[], None]) -> None:
    """Call `act` in a thread of its own at the first of the signals.

    Python runs signal handlers in the main thread, after it leaves the executor's wait. So this thread waits for the
    byte that Python's low-level handler writes.
    """
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    signal.set_wakeup_fd(write_end)
    for number in signals:
        signal.signal(number, lambda *_: None)

    def wait() -> None:
        os.read(read_end, 1)
        act()

    threading.Thread(target=wait, name='signals', daemon=True).start()


def _leave(
    node: LifecycleNode | PlainNode | None, executor: SingleThreadedExecutor, signals: Iterable[signal.Signals]
) -> None:
    if node is not None:
        node.teardown()
        for _ in range(_FLUSH_TURNS):
            executor.spin_once(timeout_sec=0.0)
        executor.shutdown()
        node.destroy_node()
    rclpy.try_shutdown()
    for number in signals:
        # Python restores its handlers at exit. A late signal would then kill the process.
        signal.signal(number, signal.SIG_IGN)
