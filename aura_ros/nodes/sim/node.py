# SPDX-License-Identifier: Apache-2.0
"""sim_node: the embedded robot with the topics of a real one.

In real time the node steps at the control rate and applies the newest command until the next one arrives. In
lock-step it controls the time: it publishes one tick and waits for the command with the stamp of that tick. If the
tick has images, it also waits until every policy in `barrier_policies` has processed them. Then it steps. Each policy
thus sees each observation, runs are repeatable, and the speed is that of the graph.

All work, rendering included, runs in the executor thread, because an OpenGL context belongs to one thread. Stamps
are simulated time, which never goes back while the node runs. In real time they are on the ROS clock, unless the
node publishes /clock. Timeouts use the steady clock.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
from geometry_msgs.msg import PoseStamped
from numpy.typing import NDArray
from rclpy.publisher import Publisher
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image, JointState
from std_msgs.msg import String
from trajectory_msgs.msg import JointTrajectory

from aura_ros.common.errors import AuraError, ConfigError, InputError
from aura_ros.common.limits import JOINTS_BYTES
from aura_ros.common.loading import load_factory
from aura_ros.common.names import PANEL_TASKS, POLICIES
from aura_ros.msg import PolicyStatus, TaskEvent
from aura_ros.ros import conversions, foreign, qos
from aura_ros.ros.commands import pose_to_msg, target_from_trajectory
from aura_ros.ros.diagnostics import OK, WARN, Diagnostics, Faults, Status
from aura_ros.ros.entities import EntityOwner
from aura_ros.ros.lifecycle import NodeOptions, PlainNode, run
from aura_ros.ros.parameters import ParameterSet, parameter, strings
from aura_ros.ros.sensor_messages import event_to_msg, image_to_msg, joints_to_msg
from aura_ros.srv import StartTask

if TYPE_CHECKING:  # a simulation of your own needs no MuJoCo
    from aura_ros.sim.protocol import RobotSimulation
    from aura_ros.sim.tasks import Event

CAMERAS = ('front', 'wrist')
SENSOR_TOPICS = ('/clock', 'joint_states', *(f'camera/{camera}/image_raw' for camera in CAMERAS))
"""Topics that only the simulator may publish."""
_BASE_FRAME = 'base_link'
_FIRST_STAMP_NS = 1_000_000_000
_BETWEEN_TASKS_NS = 2_000_000_000
"""Gap in simulated time between two tasks, so that no message of the first is fresh in the second [ns]."""
_WATCH_S = 0.05
_RESEND_AT_REST_S, _RESEND_S = 0.2, 1.0


@dataclass(frozen=True)
class SimNodeConfig:
    """Parameters of sim_node."""

    task: str = parameter('', f'First task: {", ".join(PANEL_TASKS)}; empty waits for start_task')
    split: str = parameter('evaluation', 'Seeds of the first task: train, validation, evaluation')
    seed: int = parameter(0, 'Index of the seed within the split', unit='1', low=0, high=2**31 - 1)
    rounds: int = parameter(12, 'Rounds of the episode', unit='1', low=1, high=1_000_000)
    lockstep: bool = parameter(False, 'Run the first task in lock-step')
    publish_clock: bool = parameter(
        False, 'Publish simulated time on /clock in real time as well; implied by use_sim_time'
    )
    camera_hz: float = parameter(10.0, 'Rate of the images in real time', unit='Hz', low=0.1, high=20.0)
    camera_every: int = parameter(4, 'Control ticks between two images in lock-step', unit='1', low=1, high=100)
    barrier_policies: tuple[str, ...] = strings(
        'Policies that have to process an image before lock-step continues', ('base', 'aura', 'kv')
    )
    simulation: str = parameter('aura_ros.sim:Simulation', 'Factory of the simulation, module:attribute', at_start=True)
    allow_shared_graph: bool = parameter(False, foreign.PARAMETER_TEXT)


class SimNode(PlainNode):
    """The simulated robot as a node."""

    def __init__(self, **options: Unpack[NodeOptions]) -> None:
        """Read the parameters, join the graph, and start the first task if there is one.

        Raises:
            ConfigError: a parameter or the first task cannot be used.
            SharedGraphError: another program publishes cameras, joint positions or time.
        """
        super().__init__('sim_node', **options)
        self.config = config = ParameterSet(self, SimNodeConfig).read()
        unknown = sorted(set(config.barrier_policies) - set(POLICIES))
        if unknown:
            raise ConfigError(f"parameter 'barrier_policies' contains '{unknown[0]}', allowed: {', '.join(POLICIES)}")
        self._barrier = [POLICIES.index(name) for name in config.barrier_policies]
        if not config.allow_shared_graph:
            foreign.refuse_foreign(self, lambda: foreign.foreign_publishers(self, SENSOR_TOPICS))
        self._entities = EntityOwner(self)
        self._faults = Faults('all commands are valid')
        self._simulation: RobotSimulation | None = None
        self._lockstep = False
        self._resent = 0
        self._tick, self._stamp_ns, self._origin_ns = 0, _FIRST_STAMP_NS, _FIRST_STAMP_NS
        self._newest_ns = [0] * len(POLICIES)
        self._join_graph()
        self.diagnostics = Diagnostics(self, hardware_id='sim_node')
        self.diagnostics.add('simulation', self._simulation_status)
        self.diagnostics.add('commands', self._faults.status)
        self.diagnostics.add('qos', self._entities.qos_status)
        if config.task:
            self._start(config.task, config.split, config.seed, config.rounds, config.lockstep)

    def _join_graph(self) -> None:
        make = self._entities
        self._clock_out = make.publisher(Clock, '/clock', qos.CLOCK)
        self._images = {
            camera: make.publisher(Image, f'camera/{camera}/image_raw', qos.CAMERA_OUT) for camera in CAMERAS
        }
        self._joints = make.publisher(JointState, 'joint_states', qos.JOINT_STATES_OUT)
        self._pose = make.publisher(PoseStamped, 'end_effector_pose', qos.JOINT_STATES_OUT)
        self._instructions = make.publisher(String, 'instruction', qos.INSTRUCTION)
        self._events = make.publisher(TaskEvent, 'sim/event', qos.TASK_EVENT)
        make.limited_subscription(
            JointTrajectory,
            'joint_command',
            lambda message, _: self._on_command(message),
            qos.COMMAND,
            JOINTS_BYTES,
            lambda text: self._faults.add('rejected', text),
        )
        make.subscription(PolicyStatus, 'policy_status', self._on_policy_status, qos.POLICY_STATUS)
        make.service(StartTask, 'sim/start_task', self._on_start_task)
        make.timer(_WATCH_S, self._on_watch)

    def teardown(self) -> None:
        """Leave the graph and free the renderer."""
        self._entities.destroy()
        if self._simulation is not None:
            self._simulation.close()
            self._simulation = None

    # Tasks --------------------------------------------------------------------------------------
    def _on_start_task(self, request: StartTask.Request, response: StartTask.Response) -> StartTask.Response:
        try:
            simulation = self._start(request.task, request.split, request.seed, request.rounds, request.lockstep)
        except AuraError as error:
            response.reason = str(error)[:256]
            self.get_logger().error(f'start_task refused: {error}')
            return response
        response.success = True
        response.instruction = simulation.instruction[:256]
        return response

    def _start(self, task: str, split: str, seed: int, rounds: int, lockstep: bool) -> RobotSimulation:
        fresh: RobotSimulation = load_factory(self.config.simulation)(task, split, seed, rounds)
        if self._simulation is not None:
            self._simulation.close()
            self._origin_ns = self._stamp_ns + _BETWEEN_TASKS_NS
        self._simulation = fresh
        self._lockstep, self._tick, self._resent = lockstep, 0, 0
        # With use_sim_time and without /clock, time stands still for all nodes.
        use_sim_time = bool(self.get_parameter('use_sim_time').value)
        self._owns_time = lockstep or self.config.publish_clock or use_sim_time
        self._target: NDArray[np.float64] = fresh.joint_positions
        self._instruction = ''
        self._began = self._due = time.monotonic()
        period_ticks = round(1.0 / (self.config.camera_hz * fresh.dt))
        self._camera_every = self.config.camera_every if lockstep else max(1, period_ticks)
        mode = 'in lock-step' if lockstep else 'in real time'
        self.get_logger().info(f"task '{task}', {split} seed {seed}, {rounds} rounds, {mode}")
        self._publish_tick(fresh, fresh.initial_events)
        return fresh

    # Ticks --------------------------------------------------------------------------------------
    def _publish_tick(self, simulation: RobotSimulation, events: Iterable[Event]) -> None:
        """Publish a tick: events, instruction, time, images and joints."""
        self._stamp_ns = stamp_ns = self._stamp(simulation)
        for event in events:
            self._events.publish(event_to_msg(event, self._event_stamp(event)))
        if simulation.instruction != self._instruction:
            self._instruction = simulation.instruction
            self._instructions.publish(String(data=self._instruction[:256]))
        self._sent: list[tuple[Publisher[Any], Any]] = []
        if self._owns_time:
            self._sent.append((self._clock_out, Clock(clock=conversions.to_stamp(stamp_ns))))
        # A lock-step episode publishes no image after its end, because no policy may act on it.
        over = self._lockstep and simulation.done
        self._with_images = self._tick % self._camera_every == 0 and not over
        if self._with_images:
            for camera, publisher in self._images.items():
                pixels = simulation.render(camera)
                self._sent.append((publisher, image_to_msg(pixels, stamp_ns, f'{camera}_camera')))
        positions, velocities = simulation.joint_positions, simulation.joint_velocities
        joints = joints_to_msg(simulation.joint_names, positions, velocities, stamp_ns)
        self._sent.append((self._joints, joints))
        # A simulation of one's own need not measure it.
        if (pose := getattr(simulation, 'end_effector_pose', None)) is not None:
            position, rotation = pose
            self._sent.append((self._pose, pose_to_msg(position, rotation, stamp_ns, _BASE_FRAME)))
        self._command: NDArray[np.float64] | None = None
        self._send()

    def _send(self) -> None:
        self._sent_at = time.monotonic()
        for publisher, message in self._sent:
            publisher.publish(message)

    def _stamp(self, simulation: RobotSimulation) -> int:
        if not self._owns_time:
            return int(self.get_clock().now().nanoseconds)
        return self._origin_ns + self._tick * round(simulation.dt * 1e9)

    def _event_stamp(self, event: Event) -> int:
        if not self._owns_time:
            return self._stamp_ns
        return self._origin_ns + round(event.time * 1e9)

    def _step(self, simulation: RobotSimulation, target: NDArray[np.float64]) -> None:
        events = simulation.step(target)
        self._tick += 1
        self._resent = 0
        self._publish_tick(simulation, events)

    def _advance(self) -> None:
        """Step in lock-step as soon as everything for this tick has arrived."""
        simulation = self._simulation
        if simulation is None or not self._lockstep or simulation.done:
            return
        if self._command is not None and not self._awaited_policies():
            # At tick 0 the command depends on timing: the switch may hold or have a chunk. Ignore it.
            self._step(simulation, self._command if self._tick else simulation.joint_positions)

    def _awaited_policies(self) -> list[int]:
        if not self._with_images:
            return []
        return [policy for policy in self._barrier if self._newest_ns[policy] < self._stamp_ns]

    def _on_watch(self) -> None:
        simulation = self._simulation
        if simulation is None:
            return
        now = time.monotonic()
        if self._lockstep:
            wait_s = _RESEND_S if self._tick else _RESEND_AT_REST_S
            if not simulation.done and now - self._sent_at > wait_s:
                self._resend()
        elif now >= self._due - 0.5 * _WATCH_S:
            # One step per timer call: after a stall the robot does not catch up.
            self._due = max(self._due + simulation.dt, now)
            self._step(simulation, self._target)

    def _resend(self) -> None:
        self._resent += 1
        if self._tick and self._resent == 1:
            self.get_logger().warning(f'tick {self._tick}: {self._waits_for()}; publishing the tick again')
        self._send()

    # Commands -----------------------------------------------------------------------------------
    def _on_command(self, message: JointTrajectory) -> None:
        if self._simulation is None:
            return
        try:
            target = target_from_trajectory(message, tuple(self._simulation.joint_names))
        except InputError as error:
            self._faults.add('rejected', str(error))
            self.get_logger().warning(str(error), throttle_duration_sec=1.0)
            self.diagnostics.refresh()
            return
        self._target = target
        if conversions.to_ns(message.header.stamp) == self._stamp_ns:
            self._command = target
            self._advance()

    def _on_policy_status(self, message: PolicyStatus) -> None:
        self._newest_ns = [conversions.to_ns(stamp) for stamp in message.newest_stamp]
        self._advance()

    # Diagnostics --------------------------------------------------------------------------------
    def _waits_for(self) -> str:
        missing = [] if self._command is not None else ['the command of policy_switch_node']
        names = dict(enumerate(POLICIES))
        missing += [f'the {names[policy]} policy' for policy in self._awaited_policies()]
        return 'waiting for ' + ' and '.join(missing or ['nothing'])

    def _simulation_status(self) -> Status:
        simulation = self._simulation
        if simulation is None:
            return Status(OK, 'no task; call sim/start_task')
        rate = self._tick / max(1e-9, time.monotonic() - self._began)
        values = {
            'tick': self._tick,
            'simulated time [s]': f'{simulation.time:.2f}',
            'ticks per second': f'{rate:.1f}',
            'lock-step': self._lockstep,
        }
        if simulation.done:
            return Status(OK, 'the episode has ended', values)
        if self._lockstep and self._resent:
            return Status(WARN if self._tick else OK, self._waits_for(), values)
        return Status(OK, 'running', values)


def main(args: list[str] | None = None) -> int:
    """Run sim_node until a signal ends it."""
    return run(SimNode, args)
