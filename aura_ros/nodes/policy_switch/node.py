# SPDX-License-Identifier: Apache-2.0
"""policy_switch_node: selects the policy that drives the robot, and guards every command.

Executor thread only, except the watchdog, which holds the robot when this thread is late. A lock around each command
separates the two. aura_ros.control.PolicySwitch takes the decisions. The control timer, all time-outs and the velocity
limits use the steady clock, so that they also work without /clock. The age of data is on the ROS clock. The switch and
its counters live from activate to deactivate, which commands a last hold.
"""

import threading
import time
from collections.abc import Sequence
from typing import Unpack

import numpy as np
from numpy.typing import NDArray
from rclpy.callback_groups import ReentrantCallbackGroup

from aura_ros.common.errors import ConfigError
from aura_ros.control import Chunk, ClockWatch, ControlWatchdog, Policy, PolicySwitch, Refusal
from aura_ros.control.kinematics import kinematics_of
from aura_ros.control.peers import TOPICS, Peers
from aura_ros.control.spacing import StepSpacing
from aura_ros.msg import PolicyStatus
from aura_ros.nodes.policy_switch.config import SwitchNodeConfig
from aura_ros.nodes.policy_switch.inputs import ChunkHandlers, Take, watch_chunks, watch_positions
from aura_ros.nodes.policy_switch.joint_monitor import JointMonitor
from aura_ros.nodes.policy_switch.lockstep import LockstepPacer
from aura_ros.nodes.policy_switch.outputs import CommandOutputs
from aura_ros.nodes.policy_switch.publishers import PublisherWatch
from aura_ros.nodes.policy_switch.report import StatusReporter, diagnose
from aura_ros.nodes.policy_switch.selection import SelectionService
from aura_ros.ros import qos
from aura_ros.ros.diagnostics import ERROR, OK, Faults, Status
from aura_ros.ros.entities import EntityOwner
from aura_ros.ros.lifecycle import LifecycleNode, NodeOptions, run
from aura_ros.ros.parameters import ParameterSet
from aura_ros.ros.robot_file import RobotFile, RobotParameters
from aura_ros.ros.topics import check_remap, check_topic
from aura_ros.srv import SelectPolicy

_HOUSEKEEPING_S = 0.05


class PolicySwitchNode(LifecycleNode):
    """The policy switch as a node."""

    # made by activate
    _switch: PolicySwitch
    _joints: JointMonitor
    _pacer: LockstepPacer | None  # None: the timer paces the commands

    def __init__(self, **options: Unpack[NodeOptions]) -> None:
        """Declare the parameters."""
        super().__init__('policy_switch_node', **options)
        self._parameter_set = ParameterSet(self, SwitchNodeConfig, lambda: self.in_use)
        self._robot_file = RobotFile(self, RobotParameters, lambda: self.in_use)
        self._entities = EntityOwner(self)
        self._faults = Faults('all chunks and joint states are good')
        self._peers = Peers(TOPICS)
        self._policy_of: dict[str, Policy] = {}
        self._watchdog: ControlWatchdog | None = None
        # Held while a command is computed and published.
        self._commanding = threading.Lock()
        self._watchdog_holds, self._late = 0, False

    # --- lifecycle ---
    def configure(self) -> None:
        """Check the robot file and join the graph; no command is published yet."""
        self.config = config = self._parameter_set.read()
        self._robot = robot = self._robot_file.robot()
        self._core_config = config.core()
        self._kinematics = kinematics_of(robot)
        self._lockstep = config.tick_source == 'joint_states'
        types = [output.command_type for output in robot.outputs]
        if self._lockstep and types != ['joint_trajectory']:
            raise ConfigError(
                f"the robot's outputs are {', '.join(types)}: must be one joint_trajectory with tick_source "
                "'joint_states', because its stamp shows which tick a command belongs to"
            )
        self._check_topics()
        self._join_graph(config)
        self.diagnostics.add('switch', self._switch_status)
        self.diagnostics.add('inputs', self._faults.status)
        self.diagnostics.add('qos', self._qos_status)

    def _check_topics(self) -> None:
        robot, single = self._robot, self.config.command_topic
        commands = [output.command_topic or single for output in robot.outputs]
        if not all(output.command_topic for output in robot.outputs):
            check_topic('command_topic', single)
        check_remap(self, 'joint_command', commands)
        check_remap(self, 'joint_states', robot.sources.topics)

    def _join_graph(self, config: SwitchNodeConfig) -> None:
        make, lease_s = self._entities, config.liveliness_lease_s
        self._peers = Peers(TOPICS)
        stamp = 'now' if self._lockstep else config.command_stamp
        self._outputs = CommandOutputs(self, make, self._robot, config.command_topic, stamp, self._fault)
        self._statuses = make.publisher(PolicyStatus, 'policy_status', qos.POLICY_STATUS)
        handlers = ChunkHandlers(self._on_chunk, self._refuse, self._on_liveliness)
        self._policy_of = watch_chunks(make, lease_s, handlers)
        profile = qos.sensor(config.joint_reliability, 5)
        watch_positions(make, self._robot, profile, self._on_positions, self._fault)
        # It awaits the switch. In a group of its own, other callbacks run meanwhile.
        make.service(SelectPolicy, 'select_policy', self._on_select, ReentrantCallbackGroup())
        make.timer(_HOUSEKEEPING_S, self._on_housekeeping)
        if not self._lockstep:
            make.timer(self._robot.period_ns * 1e-9, self._on_timer)

    def activate(self) -> None:
        """Start with a new switch: counters at zero, no chunk, hold."""
        self._switch = PolicySwitch(self._robot, self._core_config, self._kinematics)
        config = self.config
        self._outputs.advertise()
        self._joints = JointMonitor(self._robot, config.joint_max_age_s, config.stamp_tolerance_s, self._fault)
        self._clock_watch = ClockWatch(round(config.clock_timeout_s * 1e9))
        self._pacer = LockstepPacer(self._robot.joint_names, config.lockstep_timeout_s) if self._lockstep else None
        self._clock_stopped = False
        self._spacing = StepSpacing(config.n_action_steps)
        self._outputs.forget()
        self._reporter = StatusReporter(self._statuses, self.diagnostics.refresh)
        self._selection = SelectionService(self._switch, config.select_timeout_s, self._now_ns)
        self._senders = PublisherWatch(self, self.config.liveliness_lease_s == 0.0)
        self._control = self._wants_control()
        for policy, reason in self._peers.lost.items():
            self._switch.peer_lost({policy}, reason)
        self._check_rivals()
        self._watchdog_holds, self._late = 0, False
        if not self._lockstep:  # there the simulation waits for each command
            self._watchdog = ControlWatchdog(self._robot.period_ns, self._on_late)
        dry = '' if self._control else ' (dry run: enable_control is false)'
        self.get_logger().info(f'{self.config.policy} drives{dry}')

    def deactivate(self) -> None:
        """Stop the watchdog, command one last hold, and stop to publish commands."""
        if self._watchdog is not None:
            self._watchdog.stop()
            self._watchdog = None
        self._selection.cancel('policy_switch_node was deactivated')
        self._hold_all('policy_switch_node was deactivated')
        self._outputs.withdraw()

    def release(self) -> None:
        """Leave the graph."""
        self.diagnostics.remove('switch', 'inputs', 'qos')
        self._entities.destroy()

    # --- inputs ---
    def _on_chunk(self, chunk: Chunk, policy: Policy, publisher: bytes, topic: str) -> None:
        self._peers.seen(topic)
        if not self.active:
            return
        if policy in self._peers.lost and not self._lockstep and not self._returned(policy, topic, chunk):
            # In lock-step nothing is ever dropped.
            self._fault(f'policy {policy:d}: lost', f'step {chunk.seq} arrived after its node was gone')
            return
        now_ns = self._now_ns()
        if self._lockstep:
            # Simulated time is at least that of the observation, even if its /clock message has not arrived yet.
            now_ns = max(now_ns, chunk.stamp_ns)
        if chunk.policy != policy:
            text = f'a chunk of policy {chunk.policy} arrived on the topic of policy {policy:d}'
            verdict = self._switch.refuse(policy, Refusal.POLICY, text)
        elif not publisher:
            text = f'{topic} has several publishers, and this ROS does not report which one sent a chunk'
            verdict = self._switch.refuse(policy, Refusal.FOREIGN, text)
        else:
            if self._switch.owners.foreign(policy, publisher):
                self._senders.release_gone(self._switch, policy, topic, chunk.episode_id)
            verdict = self._switch.accept(chunk, now_ns, publisher)
        if verdict.text:
            self._fault(f'policy {policy:d}: {verdict.refusal or "gap"}', verdict.text)
        if verdict.accepted:
            self._senders.accepted(policy)
            if policy is Policy.BASE and (text := self._spacing.problem(chunk)):
                self._fault('n_action_steps', text)
            self._tick_if_due()
            self._show_status(always=True)

    def _refuse(self, policy: Policy, text: str) -> None:
        if self.active:
            self._switch.refuse(policy, Refusal.SHAPE, text)
            self._fault(f'policy {policy:d}: {Refusal.SHAPE}', text)

    def _on_positions(self, stamp_ns: int, names: Sequence[str], take: Take) -> None:
        """Let the joint monitor take a message of measured positions; `take` gets it and the present time."""
        if not self.active or not take(self._joints, stamp_ns if self._lockstep else self._now_ns()):
            return
        if self._pacer is None:
            return
        if self._pacer.answered(stamp_ns):
            # The simulation repeats a tick whose command was lost during discovery.
            self._outputs.repeat()
        else:
            self._pacer.arrive(stamp_ns, names)
            self._tick_if_due()

    def _returned(self, policy: Policy, topic: str, chunk: Chunk) -> bool:
        """Return whether a chunk shows that the publisher of a lost policy is alive."""
        if self._peers.proves_return(topic, chunk.stamp_ns, self.get_clock().now().nanoseconds):
            self._on_liveliness(policy, topic, 1)
        return policy not in self._peers.lost

    def _on_liveliness(self, policy: Policy, topic: str, alive: int) -> None:
        lost, found = self._peers.update(topic, alive, self.get_clock().now().nanoseconds)
        if not self.active:
            return
        if not alive:
            self._switch.owners.keep(policy, ())
        if found:
            self._switch.peer_found(found, 'no chunk since the node of the policy is back')
            names = ', '.join(policy.name.lower() for policy in sorted(found))
            self.get_logger().info(f'available again: {names}', throttle_duration_sec=5.0)
        if lost:
            reason = self._peers.lost[min(lost)]
            self.get_logger().error(reason, throttle_duration_sec=5.0)
            self._switch.peer_lost(lost, reason)
            # Hold now instead of at the next tick: the robot has been without guidance for the whole lease.
            if self._lockstep:
                self._tick_if_due()
            else:
                self._tick(self._now_ns())
            self.diagnostics.refresh()

    def _fault(self, kind: str, text: str) -> None:
        if self._faults.add(kind, text):
            self.get_logger().warning(f'{kind}: {text}')
        self.diagnostics.refresh()

    # --- commands ---
    def _now_ns(self) -> int:
        if self._lockstep and self._joints.stamp_ns is not None:
            return self._joints.stamp_ns
        return self.get_clock().now().nanoseconds

    def _on_timer(self) -> None:
        if not self.active:
            return
        now_ns = self._now_ns()
        stopped = self._clock_watch.stopped(now_ns, time.monotonic_ns())
        if stopped:
            # On a stopped clock no chunk ever gets too old.
            self._switch.expire('the ROS clock has stopped')
        elif self._clock_stopped:
            self._switch.expire('no chunk since the ROS clock advances again')
        self._clock_stopped = stopped
        self._tick(now_ns)

    def _tick_if_due(self) -> None:
        """Publish the command of a lock-step tick whose chunk is there."""
        if self._pacer is not None and (stamp_ns := self._pacer.due(self._switch)) is not None:
            self._tick(stamp_ns)

    def _tick(self, now_ns: int) -> None:
        if self._control != self._wants_control():
            self._change_control()
        self._command(now_ns)
        self._settle()

    def _command(self, now_ns: int) -> None:
        joints = self._joints.fresh(now_ns)
        with self._commanding:
            # In lock-step the time of the simulation limits the motion.
            steady_ns = now_ns if self._lockstep else time.monotonic_ns()
            self._publish(self._switch.tick(now_ns, joints, steady_ns, self._joints.unknown).target, now_ns)
            late, self._late = self._late, False
        if self._watchdog is not None:
            self._watchdog.beat()
        if late:
            self._fault('control late', 'no control period for two periods: the watchdog held the robot')

    def _on_late(self) -> None:
        """Hold the robot in place of the busy executor; runs in the watchdog's thread."""
        with self._commanding:
            target = self._switch.hold_between_ticks(time.monotonic_ns())
            self._publish(target, self.get_clock().now().nanoseconds)
            self._watchdog_holds += 1
            self._late = True

    def _publish(self, target: NDArray[np.float64] | None, stamp_ns: int) -> None:
        if target is not None and self._control:
            self._outputs.send(target, stamp_ns)

    def _hold_all(self, reason: str) -> None:
        """Command a hold now, whatever chunks there are."""
        self._switch.peer_lost(set(Policy), reason)
        self._command(self._now_ns())
        self._switch.peer_found(set(Policy) - set(self._peers.lost))
        self._show_status(always=True)

    def _wants_control(self) -> bool:
        return bool(self.get_parameter('enable_control').value)

    def _change_control(self) -> None:
        if self._control:
            self._hold_all('enable_control was set to false')
        with self._commanding:
            self._control = not self._control
            self._outputs.forget()
            self._switch.control_changed()
        self.get_logger().warning(f'commands are {"published" if self._control else "not published"} from now on')

    def _check_peers(self) -> None:
        """Find a publisher that left the graph, in case the middleware missed the event of its loss."""
        for topic, policy in self._policy_of.items():
            if self._peers.alive(topic) and not self.count_publishers(self.resolve_topic_name(topic)):
                self._on_liveliness(policy, topic, 0)

    def _check_rivals(self) -> None:
        found = self._outputs.rivals()
        if found == self._switch.status.blocked:
            return
        self._switch.block(found)
        if found:
            self.get_logger().error(found, throttle_duration_sec=5.0)
        else:
            self.get_logger().info('no other publisher of commands is left')
        self.diagnostics.refresh()

    def _on_housekeeping(self) -> None:
        if not self.active:
            return
        self._check_peers()
        self._check_rivals()
        self._outputs.poll()
        self._tick_if_due()
        if self._pacer is not None and self._selection and self._pacer.stopped:
            self._switch.expire('switched because the simulation has stopped')
        self._settle()

    # --- selection and status ---
    async def _on_select(self, request: SelectPolicy.Request, response: SelectPolicy.Response) -> SelectPolicy.Response:
        if not self.active:
            response.reason = 'policy_switch_node is not active'
            return response
        answer = await self._selection.answer(request, response)
        self.get_logger().info(f'select_policy {request.policy}: {answer.reason}')
        return answer

    def _settle(self) -> None:
        self._selection.settle()
        self._show_status()

    def _show_status(self, always: bool = False) -> None:
        now_ns = self.get_clock().now().nanoseconds
        self._reporter.show(self._switch.status, now_ns, self._control, always)

    def _qos_status(self) -> Status:
        outputs = self._outputs.qos_status()
        return outputs if outputs.level == ERROR else self._entities.qos_status()

    def _switch_status(self) -> Status:
        if not self.active:
            return Status(OK, 'inactive: no command is published')
        return diagnose(self._switch.status, self._control, self._watchdog_holds)


def main(args: list[str] | None = None) -> int:
    """Run policy_switch_node until it is stopped by a signal."""
    return run(PolicySwitchNode, args)
