# SPDX-License-Identifier: Apache-2.0
"""What the nodes share: the lifecycle base class and `run`, the one way in and out of a process.

One SingleThreadedExecutor per process (rclpy 9.1's multi-threaded one loses messages); whatever is
slow has a worker thread of its own.
"""

import os
import signal
import threading
import traceback
from collections.abc import Callable, Sequence

import rclpy
from rcl_interfaces.msg import ParameterDescriptor
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode as RclpyLifecycleNode
from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from aura_ros.common.errors import AuraError, ConfigError
from aura_ros.common.program import FAILED, WRONG_USE
from aura_ros.ros.diagnostics import ERROR, OK, Diagnostics, Status

# After the last callback: goals that were ended by the shutdown still have to send their results.
_FLUSH_TURNS = 20
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class LifecycleNode(RclpyLifecycleNode):
    """A managed node whose transitions tell what went wrong.

    Subclasses override `configure`, `activate`, `deactivate` and `release`. `configure` and
    `activate` may raise AuraError or OSError: it is logged and reported as an ERROR on
    /diagnostics, what was made is released, and the transition fails. All run in the executor
    thread.
    """

    def __init__(self, name: str, **kwargs: object) -> None:
        """Declare `autostart` and start the diagnostics, which report in every state."""
        super().__init__(name, **kwargs)
        text = 'Configure and activate at start'
        self.declare_parameter('autostart', False, ParameterDescriptor(description=text))
        self.active = False
        self._configured = False
        self._problem = ''
        self.diagnostics = Diagnostics(self, hardware_id=name)
        self.diagnostics.add('lifecycle', self._lifecycle_status)

    # What a subclass does.
    # ------------------------------------------------------------------------------------
    def configure(self) -> None:
        """Read the parameters, load what is slow, make publishers and subscriptions."""

    def activate(self) -> None:
        """Begin to work; publishers are enabled by now."""

    def deactivate(self) -> None:
        """Stop working; publishers are still enabled."""

    def release(self) -> None:
        """Undo `configure`, also when it failed half-way; called once for each call of it."""

    # What rclpy calls.
    # ----------------------------------------------------------------------------------------
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
        """Run what is due of `deactivate` and `release`."""
        self.teardown()
        return TransitionCallbackReturn.SUCCESS

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Tell that a transition broke: it has a bug, for known failures end in FAILURE."""
        self.get_logger().error(f'transition from {state.label} broke, going back to unconfigured')
        self.teardown()
        return TransitionCallbackReturn.SUCCESS

    def teardown(self) -> None:
        """Leave whatever state the node is in; does nothing the second time."""
        self._stop()
        self._release()

    def autostart(self) -> bool:
        """Configure and activate if the parameter asks for it; False when that failed."""
        if not self.get_parameter('autostart').value:
            return True
        success = TransitionCallbackReturn.SUCCESS
        return self.trigger_configure() == success and self.trigger_activate() == success

    @property
    def in_use(self) -> bool:
        """Whether parameters are in use, that is the node is configured."""
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
            # A bug. rclpy would drop the exception without a word; on_error goes on from here.
            self._problem = f'{what} broke, see the log'
            self.get_logger().error(f'{what} broke: {traceback.format_exc()}')
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


def run(make_node: Callable[[], Node], args: Sequence[str] | None = None) -> int:
    """Run one node until SIGINT or SIGTERM, leave by its `teardown`, and return the exit code.

    rclpy's own signal handling would shut the context down at once, and with it the publishers a
    node needs for its last command. So a signal only ends the spinning here, and another one during
    the teardown does no harm.

    Returns:
        0 after a signal or an outside shutdown, WRONG_USE for a parameter that cannot be used, FAILED when the node
        cannot start for another reason.
    """
    rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
    executor = SingleThreadedExecutor()
    stop = rclpy.Future()
    _on_signal(lambda: stop.set_result(None))
    node: Node | None = None
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
        _leave(node, executor)
    return 0


def _on_signal(act: Callable[[], None]) -> None:
    """Call `act` in a thread of its own at the first signal.

    Python runs handlers in the main thread only, once it leaves the executor's wait; so the byte
    that Python's own low-level handler writes is what wakes us.
    """
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    signal.set_wakeup_fd(write_end)
    for number in _SIGNALS:
        # Set even where a shell has started us with SIGINT ignored, as it does in the background.
        signal.signal(number, lambda *_: None)

    def wait() -> None:
        os.read(read_end, 1)
        act()

    threading.Thread(target=wait, name='signals', daemon=True).start()


def _leave(node: Node | None, executor: SingleThreadedExecutor) -> None:
    if node is not None:
        node.teardown()
        for _ in range(_FLUSH_TURNS):
            executor.spin_once(timeout_sec=0.0)
        executor.shutdown()
        node.destroy_node()
    rclpy.try_shutdown()
    for number in _SIGNALS:
        # Python gives back handlers of its own while it ends, and a late signal would then kill.
        signal.signal(number, signal.SIG_IGN)
