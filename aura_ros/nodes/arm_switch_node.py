# SPDX-License-Identifier: Apache-2.0
"""arm_switch_node: which arm drives the robot, and the guard over every command that leaves.

Executor thread only; the decisions are those of aura_ros.control.ArmSwitch. Clocks: the control
timer and all time-outs are on the steady clock, so that a dead /clock cannot stop them; the age of
data is on the ROS clock. Lifetime: the switch and its counters live from activate to deactivate,
which commands a last hold and is silent after it.
"""

import time
from typing import Any

from rclpy.callback_groups import ReentrantCallbackGroup
from sensor_msgs.msg import JointState

from aura_ros.control import Arm, ArmSwitch, Chunk, ClockWatch, Command, Refusal
from aura_ros.errors import ConfigError
from aura_ros.msg import ActionChunk, ArmStatus, VlaStep
from aura_ros.nodes import commands, conversions, qos
from aura_ros.nodes.diagnostics import OK, Status, Troubles
from aura_ros.nodes.entities import Entities
from aura_ros.nodes.lifecycle import LifecycleNode, run
from aura_ros.nodes.measured import Measured
from aura_ros.nodes.parameters import Declared
from aura_ros.nodes.peers import TOPICS, Peers
from aura_ros.nodes.selections import Selections
from aura_ros.nodes.switch_config import RobotParameters, SwitchNodeConfig
from aura_ros.nodes.switch_report import report, visible
from aura_ros.srv import SelectArm

_HOUSEKEEPING_S = 0.05
_STATUS_PERIOD_S = 0.5
# A simulation that has not moved for so long stands still: no chunk will come to its end.
_STANDSTILL_S = 1.0


class ArmSwitchNode(LifecycleNode):
    """The arm switch as a node."""

    def __init__(self, **kwargs: object) -> None:
        """Declare the parameters."""
        super().__init__('arm_switch_node', **kwargs)
        self._declared = Declared(self, SwitchNodeConfig, lambda: self.in_use)
        self._robot_file = Declared(self, RobotParameters, lambda: self.in_use, prefix='robot.')
        self._entities = Entities(self)
        self._troubles = Troubles('all chunks and joint states are good')
        self._peers = Peers(TOPICS)
        self._switch: ArmSwitch | None = None

    # Lifecycle. -----------------------------------------------------------------------------------
    def configure(self) -> None:
        """Check the robot file and join the graph; nothing is commanded yet."""
        self.config = config = self._declared.read()
        self._robot = robot = self._robot_file.read().core()
        self._core_config = config.core()
        self._lockstep = config.tick_source == 'joint_states'
        if self._lockstep and robot.command_type != 'joint_trajectory':
            raise ConfigError(
                f"robot.command_type is '{robot.command_type}': with tick_source 'joint_states' it "
                'must be joint_trajectory, whose stamp tells which tick a command is for'
            )
        self._join_graph(config)
        self.diagnostics.add('switch', self._switch_status)
        self.diagnostics.add('inputs', self._troubles.status)
        self.diagnostics.add('qos', self._entities.qos_status)

    def _join_graph(self, config: SwitchNodeConfig) -> None:
        make, lease_s = self._entities, config.liveliness_lease_s
        self._peers = Peers(TOPICS)
        kind, self._make_command = commands.maker(self._robot)
        self._commands = make.publisher(kind, config.command_topic, qos.COMMAND)
        self._statuses = make.publisher(ArmStatus, 'arm_status', qos.ARM_STATUS)
        from_step, from_chunk = conversions.base_chunk_from_msg, conversions.chunk_from_msg
        self._watch(Arm.BASE, VlaStep, 'vla_step', from_step, qos.step(lease_s))
        for arm in (Arm.AURA, Arm.KV):
            topic = f'{arm.name.lower()}/action_chunk'
            self._watch(arm, ActionChunk, topic, from_chunk, qos.chunk(lease_s))
        joints_qos = qos.sensor(config.joint_reliability, 5)
        make.subscription(JointState, 'joint_states', self._on_joints, joints_qos)
        # A group of its own: it awaits the switch, and everything else has to go on meanwhile.
        make.service(SelectArm, 'select_arm', self._on_select, ReentrantCallbackGroup())
        make.timer(_HOUSEKEEPING_S, self._on_housekeeping)
        if not self._lockstep:
            make.timer(self._robot.period_ns * 1e-9, self._on_timer)

    def _watch(self, arm: Arm, message: type, topic: str, convert: Any, profile: Any) -> None:
        self._entities.subscription(
            message,
            topic,
            lambda found: self._on_chunk(convert(found), arm),
            profile,
            liveliness=lambda event: self._on_liveliness(topic, event.alive_count),
        )

    def activate(self) -> None:
        """Begin with a fresh switch: counters at zero, no chunk, hold."""
        self._switch = ArmSwitch(self._robot, self._core_config)
        config = self.config
        self._measured = Measured(self._robot, config.joint_max_age_s, config.stamp_tolerance_s, self._trouble)
        self._clock_watch = ClockWatch(round(config.clock_timeout_s * 1e9))
        self._ticked_ns = self._lockstep_ns = -1
        self._waiting_since: float | None = None
        self._last_command: Any = None
        self._selections = Selections()
        self._control = self._wants_control()
        self._shown: tuple[object, ...] = ()
        self._shown_at = self._moved_at = time.monotonic()
        for arm, reason in self._peers.lost.items():
            self._switch.peer_lost({arm}, reason)
        dry = '' if self._control else ', but only in a dry run: enable_control is false'
        self.get_logger().info(f'{self.config.arm} drives{dry}')

    def deactivate(self) -> None:
        """Command one last hold; nothing leaves after it."""
        self._selections.give_up('arm_switch_node was deactivated')
        self._hold_all('arm_switch_node was deactivated')

    def release(self) -> None:
        """Leave the graph."""
        self.diagnostics.remove('switch', 'inputs', 'qos')
        self._entities.destroy()
        self._switch = None

    # Inputs. --------------------------------------------------------------------------------------
    def _on_chunk(self, chunk: Chunk, arm: Arm) -> None:
        if not self.active:
            return
        if arm in self._peers.lost and not self._lockstep:
            # A dead node's last words; in lock-step nothing is ever dropped.
            self._trouble(f'arm {arm:d}: lost', f'step {chunk.seq} came after its node had gone')
            return
        now_ns = self._now_ns()
        if self._lockstep:
            # Simulated time is at least where it was observed, even if /clock was not heard yet.
            now_ns = max(now_ns, chunk.stamp_ns)
        if chunk.arm != arm:
            text = f'a chunk of arm {chunk.arm} came on the topic of arm {arm:d}'
            verdict = self._switch.refuse(arm, Refusal.ARM, text)
        else:
            verdict = self._switch.accept(chunk, now_ns)
        if verdict.text:
            self._trouble(f'arm {arm:d}: {verdict.refusal or "gap"}', verdict.text)
        if verdict.accepted:
            self._tick_if_due()
            self._show_status(always=True)

    def _on_joints(self, message: JointState) -> None:
        if not self.active:
            return
        stamp_ns = conversions.to_ns(message.header.stamp)
        if self._lockstep and stamp_ns == self._ticked_ns:
            # The simulation has sent its tick again: its command got lost before they had met.
            if self._last_command is not None:
                self._commands.publish(self._last_command)
            return
        if not self._measured.take(message, stamp_ns if self._lockstep else self._now_ns()):
            return
        self._moved_at = time.monotonic()
        if self._lockstep:
            # A tick that still waits keeps its start when the simulation sends it again.
            self._waiting_since = self._waiting_since or self._moved_at
        self._lockstep_ns = stamp_ns
        self._tick_if_due()

    def _on_liveliness(self, topic: str, alive: int) -> None:
        lost, found = self._peers.update(topic, alive)
        if not self.active:
            return
        if found:
            self._switch.peer_found(found)
            names = ', '.join(arm.name.lower() for arm in sorted(found))
            self.get_logger().info(f'back: {names}', throttle_duration_sec=5.0)
        if lost:
            reason = self._peers.lost[min(lost)]
            self.get_logger().error(reason, throttle_duration_sec=5.0)
            self._switch.peer_lost(lost, reason)
            # Not at the next tick: the robot has been without guidance for the whole lease.
            if self._lockstep:
                self._tick_if_due()
            else:
                self._tick(self._now_ns())
            self.diagnostics.refresh()

    def _trouble(self, kind: str, text: str) -> None:
        if self._troubles.add(kind, text):
            self.get_logger().warning(f'{kind}: {text}')
        self.diagnostics.refresh()

    # Ticks. ---------------------------------------------------------------------------------------
    def _now_ns(self) -> int:
        if self._lockstep and self._measured.stamp_ns is not None:
            return self._measured.stamp_ns
        return self.get_clock().now().nanoseconds

    def _on_timer(self) -> None:
        if not self.active:
            return
        now_ns = self._now_ns()
        if self._clock_watch.stands(now_ns, time.monotonic_ns()):
            # No age grows any more: without this the chunk that plays would never get old.
            self._switch.expire('the ROS clock stands still')
        self._tick(now_ns)

    def _tick_if_due(self) -> None:
        """In lock-step: command once for the newest stamp, as soon as its chunk is there."""
        if self._waiting_since is None:
            return
        if self._switch.due(self._lockstep_ns):
            if time.monotonic() - self._waiting_since < self.config.lockstep_timeout_s:
                return
            self._switch.expire('the next chunk did not come within lockstep_timeout_s')
        self._waiting_since = None
        self._ticked_ns = self._lockstep_ns
        self._tick(self._lockstep_ns)

    def _tick(self, now_ns: int) -> None:
        if self._control != self._wants_control():
            self._change_control()
        self._publish(self._switch.tick(now_ns, self._measured.fresh(now_ns)), now_ns)
        self._settle()

    def _publish(self, command: Command, stamp_ns: int) -> None:
        if command.target is None or not self._control:
            return
        self._last_command = self._make_command(command.target, stamp_ns)
        self._commands.publish(self._last_command)

    def _hold_all(self, reason: str) -> None:
        """Command a hold now, whatever chunks there are."""
        self._switch.peer_lost(set(Arm), reason)
        now_ns = self._now_ns()
        self._publish(self._switch.tick(now_ns, self._measured.fresh(now_ns)), now_ns)
        self._switch.peer_found(set(Arm) - set(self._peers.lost))
        self._show_status(always=True)

    def _wants_control(self) -> bool:
        return bool(self.get_parameter('enable_control').value)

    def _change_control(self) -> None:
        if self._control:
            self._hold_all('enable_control was set to false')
        self._control, self._last_command = not self._control, None
        self._switch.control_changed()
        self.get_logger().warning(f'commands are {"" if self._control else "not "}published now')

    def _on_housekeeping(self) -> None:
        if not self.active:
            return
        self._tick_if_due()
        still = time.monotonic() - self._moved_at > _STANDSTILL_S
        if self._lockstep and self._selections and still:
            self._switch.expire('switched while the simulation stands still')
        self._settle()

    # Selection and status. ------------------------------------------------------------------------
    async def _on_select(self, request: SelectArm.Request, response: SelectArm.Response) -> SelectArm.Response:
        if not self.active:
            response.reason = 'arm_switch_node is not active'
            return response
        switch = self._switch
        response.old_arm = int(switch.status.arm)
        asked = switch.request(request.arm, self._now_ns())
        success, reason = asked.success, asked.reason
        if success and not asked.effective:
            waiting = self._selections.wait(asked.pending_arm, self.config.select_timeout_s)
            success, reason = await waiting
        response.success = bool(success)
        response.new_arm = int(switch.status.arm)
        response.effective_seq = int(switch.status.effective_seq)
        response.reason = reason[:256]
        self.get_logger().info(f'select_arm {request.arm}: {reason}')
        return response

    def _settle(self) -> None:
        if self._selections and self._selections.settle(self._switch.status):
            self._switch.request(self._switch.status.arm, self._now_ns())
        self._show_status()

    def _show_status(self, always: bool = False) -> None:
        """Publish ArmStatus when something to see has changed, and at least once a second."""
        status = self._switch.status
        seen = visible(status, self._control)
        due = time.monotonic() - self._shown_at > _STATUS_PERIOD_S
        if always or due or seen != self._shown:
            if seen != self._shown:
                self.diagnostics.refresh()
            self._shown, self._shown_at = seen, time.monotonic()
            now_ns = self.get_clock().now().nanoseconds
            self._statuses.publish(conversions.status_to_msg(status, now_ns, self._control))

    def _switch_status(self) -> Status:
        if not self.active:
            return Status(OK, 'inactive: nothing is commanded')
        return report(self._switch.status, self._control)


def main(args: list[str] | None = None) -> int:
    """Run arm_switch_node until it is told to end."""
    return run(ArmSwitchNode, args)
