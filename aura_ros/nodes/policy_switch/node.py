# SPDX-License-Identifier: Apache-2.0
"""policy_switch_node: which policy drives the robot, and the guard over every command that leaves.

Executor thread only; the decisions are those of aura_ros.control.PolicySwitch. Clocks: the control
timer and all time-outs are on the steady clock, so that a dead /clock cannot stop them; the age of
data is on the ROS clock. Lifetime: the switch and its counters live from activate to deactivate,
which commands a last hold and is silent after it.
"""

import time
from typing import Any

from rclpy.callback_groups import ReentrantCallbackGroup
from sensor_msgs.msg import JointState

from aura_ros.common.errors import ConfigError
from aura_ros.control import Chunk, ClockWatch, Command, Policy, PolicySwitch, Refusal
from aura_ros.control.peers import TOPICS, Peers
from aura_ros.control.selections import PendingSelections
from aura_ros.msg import ActionChunk, PolicyStatus, VlaStep
from aura_ros.nodes.policy_switch.config import RobotParameters, SwitchNodeConfig
from aura_ros.nodes.policy_switch.joint_monitor import JointMonitor
from aura_ros.nodes.policy_switch.report import report, visible
from aura_ros.ros import commands, conversions, qos
from aura_ros.ros.diagnostics import OK, Faults, Status
from aura_ros.ros.entities import EntityOwner
from aura_ros.ros.lifecycle import LifecycleNode, run
from aura_ros.ros.parameters import ParameterSet
from aura_ros.srv import SelectPolicy

_HOUSEKEEPING_S = 0.05
_STATUS_PERIOD_S = 0.5
# A simulation that has not moved for so long stands still: no chunk will come to its end.
_STANDSTILL_S = 1.0


class PolicySwitchNode(LifecycleNode):
    """The policy switch as a node."""

    def __init__(self, **kwargs: object) -> None:
        """Declare the parameters."""
        super().__init__('policy_switch_node', **kwargs)
        self._declared = ParameterSet(self, SwitchNodeConfig, lambda: self.in_use)
        self._robot_file = ParameterSet(self, RobotParameters, lambda: self.in_use, prefix='robot.')
        self._entities = EntityOwner(self)
        self._faults = Faults('all chunks and joint states are good')
        self._peers = Peers(TOPICS)
        self._switch: PolicySwitch | None = None

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
        self.diagnostics.add('inputs', self._faults.status)
        self.diagnostics.add('qos', self._entities.qos_status)

    def _join_graph(self, config: SwitchNodeConfig) -> None:
        make, lease_s = self._entities, config.liveliness_lease_s
        self._peers = Peers(TOPICS)
        kind, self._make_command = commands.maker(self._robot)
        self._commands = make.publisher(kind, config.command_topic, qos.COMMAND)
        self._statuses = make.publisher(PolicyStatus, 'policy_status', qos.POLICY_STATUS)
        from_step, from_chunk = conversions.base_chunk_from_msg, conversions.chunk_from_msg
        self._watch(Policy.BASE, VlaStep, 'vla_step', from_step, qos.step(lease_s))
        for policy in (Policy.AURA, Policy.KV):
            topic = f'{policy.name.lower()}/action_chunk'
            self._watch(policy, ActionChunk, topic, from_chunk, qos.chunk(lease_s))
        joints_qos = qos.sensor(config.joint_reliability, 5)
        make.subscription(JointState, 'joint_states', self._on_joints, joints_qos)
        # A group of its own: it awaits the switch, and everything else has to go on meanwhile.
        make.service(SelectPolicy, 'select_policy', self._on_select, ReentrantCallbackGroup())
        make.timer(_HOUSEKEEPING_S, self._on_housekeeping)
        if not self._lockstep:
            make.timer(self._robot.period_ns * 1e-9, self._on_timer)

    def _watch(self, policy: Policy, message: type, topic: str, convert: Any, profile: Any) -> None:
        self._entities.subscription(
            message,
            topic,
            lambda found: self._on_chunk(convert(found), policy),
            profile,
            liveliness=lambda event: self._on_liveliness(topic, event.alive_count),
        )

    def activate(self) -> None:
        """Begin with a fresh switch: counters at zero, no chunk, hold."""
        self._switch = PolicySwitch(self._robot, self._core_config)
        config = self.config
        self._measured = JointMonitor(self._robot, config.joint_max_age_s, config.stamp_tolerance_s, self._fault)
        self._clock_watch = ClockWatch(round(config.clock_timeout_s * 1e9))
        self._ticked_ns = self._lockstep_ns = -1
        self._waiting_since: float | None = None
        self._last_command: Any = None
        self._selections = PendingSelections()
        self._control = self._wants_control()
        self._shown: tuple[object, ...] = ()
        self._shown_at = self._moved_at = time.monotonic()
        for policy, reason in self._peers.lost.items():
            self._switch.peer_lost({policy}, reason)
        dry = '' if self._control else ', but only in a dry run: enable_control is false'
        self.get_logger().info(f'{self.config.policy} drives{dry}')

    def deactivate(self) -> None:
        """Command one last hold; nothing leaves after it."""
        self._selections.give_up('policy_switch_node was deactivated')
        self._hold_all('policy_switch_node was deactivated')

    def release(self) -> None:
        """Leave the graph."""
        self.diagnostics.remove('switch', 'inputs', 'qos')
        self._entities.destroy()
        self._switch = None

    # Inputs. --------------------------------------------------------------------------------------
    def _on_chunk(self, chunk: Chunk, policy: Policy) -> None:
        if not self.active:
            return
        if policy in self._peers.lost and not self._lockstep:
            # A dead node's last words; in lock-step nothing is ever dropped.
            self._fault(f'policy {policy:d}: lost', f'step {chunk.seq} came after its node had gone')
            return
        now_ns = self._now_ns()
        if self._lockstep:
            # Simulated time is at least where it was observed, even if /clock was not heard yet.
            now_ns = max(now_ns, chunk.stamp_ns)
        if chunk.policy != policy:
            text = f'a chunk of policy {chunk.policy} came on the topic of policy {policy:d}'
            verdict = self._switch.refuse(policy, Refusal.POLICY, text)
        else:
            verdict = self._switch.accept(chunk, now_ns)
        if verdict.text:
            self._fault(f'policy {policy:d}: {verdict.refusal or "gap"}', verdict.text)
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
            names = ', '.join(policy.name.lower() for policy in sorted(found))
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

    def _fault(self, kind: str, text: str) -> None:
        if self._faults.add(kind, text):
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
        self._switch.peer_lost(set(Policy), reason)
        now_ns = self._now_ns()
        self._publish(self._switch.tick(now_ns, self._measured.fresh(now_ns)), now_ns)
        self._switch.peer_found(set(Policy) - set(self._peers.lost))
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
    async def _on_select(self, request: SelectPolicy.Request, response: SelectPolicy.Response) -> SelectPolicy.Response:
        if not self.active:
            response.reason = 'policy_switch_node is not active'
            return response
        switch = self._switch
        response.old_policy = int(switch.status.policy)
        asked = switch.request(request.policy, self._now_ns())
        success, reason = asked.success, asked.reason
        if success and not asked.effective:
            waiting = self._selections.wait(asked.pending_policy, self.config.select_timeout_s)
            success, reason = await waiting
        response.success = bool(success)
        response.new_policy = int(switch.status.policy)
        response.effective_seq = int(switch.status.effective_seq)
        response.reason = reason[:256]
        self.get_logger().info(f'select_policy {request.policy}: {reason}')
        return response

    def _settle(self) -> None:
        if self._selections and self._selections.settle(self._switch.status):
            self._switch.request(self._switch.status.policy, self._now_ns())
        self._show_status()

    def _show_status(self, always: bool = False) -> None:
        """Publish PolicyStatus when something to see has changed, and at least once a second."""
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
    """Run policy_switch_node until it is told to end."""
    return run(PolicySwitchNode, args)
