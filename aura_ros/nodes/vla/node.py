# SPDX-License-Identifier: Apache-2.0
"""vla_node: turns camera images, joint positions and an instruction into numbered VlaStep messages.

Everything runs in the executor thread, except decoding and inference, which run in one worker thread. Its results come
back as executor tasks, so that steps are numbered and published in one place. Stamps are those of the
observations and are compared with the ROS clock. Back-off and time-outs are on the steady clock. Backbone and worker
live from configure to cleanup.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Unpack

from geometry_msgs.msg import PoseStamped
from rclpy.clock import JumpThreshold
from rclpy.duration import Duration
from sensor_msgs.msg import JointState
from std_msgs.msg import String

from aura_ros.common.errors import InputError
from aura_ros.common.limits import INSTRUCTION_BYTES, JOINTS_BYTES
from aura_ros.memory import Step
from aura_ros.msg import GateSample, PolicyStatus, VlaStep
from aura_ros.nodes.vla.cameras import AnyImage, CameraSubscriptions
from aura_ros.nodes.vla.config import VlaNodeConfig
from aura_ros.nodes.vla.episode import Episode, EpisodeServer
from aura_ros.nodes.vla.inputs import Inputs, Sample, Timing, decode
from aura_ros.nodes.vla.operator import OperatorLease
from aura_ros.ros import conversions, qos
from aura_ros.ros.diagnostics import ERROR, OK, Faults, Status
from aura_ros.ros.entities import EntityOwner
from aura_ros.ros.lifecycle import LifecycleNode, NodeOptions, run
from aura_ros.ros.parameters import ParameterSet
from aura_ros.ros.robot_file import RobotFile, SourceParameters
from aura_ros.ros.topics import check_topic
from aura_ros.vla import Backbone, VlaOutput, close_backbone, load_backbone
from aura_ros.vla.assembler import JOINTS, Aligned
from aura_ros.vla.cameras import camera_topics
from aura_ros.vla.inference import Backoff, LatestOnlyWorker
from aura_ros.vla.instruction import IN_FORCE

_STOP_S = 2.0
_FIRST_BACKOFF_S, _LONGEST_BACKOFF_S = 0.1, 5.0
# So many failures in a row are an ERROR.
_FAILURES = 3


@dataclass(frozen=True)
class _Job:
    episode_id: str
    instruction: str
    inputs: Aligned[Sample]


class VlaNode(LifecycleNode):
    """The frozen backbone as a node."""

    # made by configure
    _backbone: Backbone
    _worker: LatestOnlyWorker[_Job, VlaOutput]
    _episodes: EpisodeServer

    def __init__(self, **options: Unpack[NodeOptions]) -> None:
        """Declare the parameters."""
        super().__init__('vla_node', **options)
        self._parameter_set = ParameterSet(self, VlaNodeConfig, lambda: self.in_use)
        self._robot_file = RobotFile(self, SourceParameters, lambda: self.in_use)
        self._entities = EntityOwner(self)
        self._faults = Faults('backbone works')
        self._waiting_since = time.monotonic()

    def configure(self) -> None:
        """Load the backbone, start the worker, join the graph."""
        self.config = config = self._parameter_set.read()
        self._backbone = load_backbone(config.backbone, config.backbone_path or None)
        self._spec = spec = self._backbone.spec
        self._camera_topics = camera_topics(config.cameras, spec.cameras)
        timing = Timing(config.sync_slop_s, config.max_age_s, config.stamp_tolerance_s, config.input_timeout_s)
        self._sources = self._robot_file.sources()
        self._inputs = Inputs(spec, timing, self._sources)
        self._backoff = Backoff(_FIRST_BACKOFF_S, _LONGEST_BACKOFF_S)
        # The last failure, '' after a success.
        self._failure = ''
        self._inputs_good = True
        self._superseded = 0
        self._worker = LatestOnlyWorker(
            self._infer,
            lambda job, output, duration_s: self._call_soon(lambda: self._on_output(job, output, duration_s)),
            lambda job, error: self._call_soon(lambda: self._on_error(job, error)),
        )
        self._entities.on_destroy(self._stop_worker)
        operator = OperatorLease(self, config.operator_lease_s)
        self._episodes = EpisodeServer(self, self._why_not, self._worker.clear, operator, self._publish_in_force)
        self._entities.on_destroy(self._episodes.destroy)
        self._join_graph(config)
        self.diagnostics.add('inputs', self._input_status)
        self.diagnostics.add('backbone', self._backbone_status)
        self.diagnostics.add('operator', operator.status)
        self.diagnostics.add('qos', self._entities.qos_status)
        self.get_logger().info(f"backbone '{spec.name}' {spec.backbone_hash[:12]} is ready: {spec.action_spec.text}")

    def deactivate(self) -> None:
        """End the running episode."""
        self._episodes.end('vla_node was deactivated')

    def release(self) -> None:
        """Leave the graph, stop the worker and free the backbone."""
        self.diagnostics.remove('inputs', 'backbone', 'operator', 'qos')
        self._entities.destroy()

    def _stop_worker(self) -> None:
        close_backbone(self._backbone)  # first, because it ends an inference that waits for a server
        if not self._worker.stop(_STOP_S):
            self.get_logger().warning(f'inference did not end within {_STOP_S} s, its thread is abandoned')
        del self._backbone

    def _join_graph(self, config: VlaNodeConfig) -> None:
        make, sensors = self._entities, config.camera_reliability
        step_qos = qos.step(config.liveliness_lease_s)
        self._steps = make.publisher(VlaStep, 'vla_step', step_qos)
        # First, so that the executor takes the instruction before other waiting messages.
        make.any_durability_subscription(
            String,
            'instruction',
            self._on_instruction,
            qos.INSTRUCTION,
            INSTRUCTION_BYTES,
            lambda text: self._faults.add('instruction', text),
        )
        self._in_force = make.publisher(String, IN_FORCE, qos.INSTRUCTION)
        self._cameras = CameraSubscriptions(
            self, make, self._camera_topics, qos.sensor(sensors, 1), self._on_image, self._inputs.refuse
        )
        joints_qos = qos.sensor(sensors, 5)
        for topic in self._sources.topics:
            on_joints, refuse = self._on_joints(topic), partial(self._inputs.refuse, JOINTS, topic=topic)
            make.limited_subscription(JointState, topic, on_joints, joints_qos, JOINTS_BYTES, refuse)
        if config.pose_topic:
            check_topic('pose_topic', config.pose_topic)
            refuse = partial(self._inputs.refuse, JOINTS, topic=config.pose_topic)
            make.limited_subscription(PoseStamped, config.pose_topic, self._on_pose, joints_qos, JOINTS_BYTES, refuse)
        make.subscription(GateSample, 'aura/gate', self._on_gate, qos.GATE)
        make.subscription(PolicyStatus, 'policy_status', self._on_policy_status, qos.POLICY_STATUS)
        make.timer(0.1, self._on_timer)
        jumps = self.get_clock().create_jump_callback(
            JumpThreshold(min_forward=None, min_backward=Duration(nanoseconds=-1), on_clock_change=True),
            post_callback=lambda _: self._inputs.clear(),
        )
        make.on_destroy(jumps.unregister)

    # --- inputs ---
    def _on_image(self, camera: str, message: AnyImage) -> None:
        now_ns = self.get_clock().now().nanoseconds
        self._inputs.add_image(camera, message, now_ns)
        self._try_step(now_ns)

    def _on_joints(self, topic: str) -> Callable[[JointState, object], None]:
        def on_joints(message: JointState, _: object) -> None:
            now_ns = self.get_clock().now().nanoseconds
            self._inputs.add_joints(message, now_ns, topic)
            self._try_step(now_ns)

        return on_joints

    def _on_pose(self, message: PoseStamped, _: object) -> None:
        now_ns = self.get_clock().now().nanoseconds
        self._inputs.add_pose(message, now_ns, self.config.pose_topic, self.config.base_frame)
        self._try_step(now_ns)

    def _publish_in_force(self, instruction: str) -> None:
        self._in_force.publish(String(data=instruction))

    def _on_instruction(self, message: String) -> None:
        episode = self._episodes.current
        if not self._episodes.instruct(message.data) or episode is None:
            return
        # The newest observation is used again with the new instruction. _on_output drops the result of the old one.
        self.get_logger().info(f"episode {episode.id}: now '{episode.instruction}'")
        self._worker.clear()
        self._inputs.again(episode.last_stamp_ns)
        self._try_step(self.get_clock().now().nanoseconds)

    def _on_gate(self, message: GateSample) -> None:
        episode = self._episodes.current
        if episode is not None and message.episode_id == episode.id:
            episode.add_gate(message.seq, message.written)

    def _on_policy_status(self, message: PolicyStatus) -> None:
        episode = self._episodes.current
        if episode is not None:
            episode.execution.take(message)
            episode.settle()

    def _on_timer(self) -> None:
        self._episodes.poll()
        self._log_inputs()

    # --- steps ---
    def _try_step(self, now_ns: int) -> None:
        episode = self._episodes.current
        if not self.active or episode is None or not episode.stepping:
            self._waiting_since = time.monotonic()
            return
        if self._backoff.waiting or not self._has_subscribers(episode):
            return
        aligned = self._inputs.take(now_ns)
        last_ns = episode.last_stamp_ns
        if aligned is None or (last_ns is not None and aligned.stamp_ns <= last_ns):
            return
        if self._worker.submit(_Job(episode.id, episode.instruction, aligned)):
            text = f'inference is slower than the step period, {self._worker.dropped} dropped'
            self._faults.add('dropped observation', text)

    def _has_subscribers(self, episode: Episode) -> bool:
        return episode.steps > 0 or self._steps.get_subscription_count() >= self.config.step_subscribers

    def _infer(self, job: _Job) -> VlaOutput:
        """Decode, infer and check the output; runs in the worker."""
        spec = self._spec
        output = self._backbone.infer(decode(job.inputs, spec, job.instruction))
        return VlaOutput(
            conversions.finite('features', output.features, (spec.feature_dim,)),
            conversions.finite('actions', output.actions, (spec.chunk_size, spec.action_dim)),
        )

    def _call_soon(self, call: Callable[[], None]) -> None:
        """Run `call` in the executor thread."""
        if self.executor is not None:
            self.executor.create_task(call)

    def _episode_of(self, job: _Job) -> Episode | None:
        episode = self._episodes.current
        return episode if episode is not None and episode.id == job.episode_id and episode.stepping else None

    def _on_output(self, job: _Job, output: VlaOutput, duration_s: float) -> None:
        if (episode := self._episode_of(job)) is None:
            return
        self._succeeded()
        last_ns = episode.last_stamp_ns
        stamp_used = last_ns is not None and job.inputs.stamp_ns <= last_ns
        if stamp_used or job.instruction != episode.instruction:
            self._superseded += 1
            return
        self._waiting_since = time.monotonic()
        step = Step(
            episode_id=episode.id,
            seq=episode.steps,
            stamp_ns=job.inputs.stamp_ns,
            features=output.features,
            base_action=output.actions,
            seconds_per_action=self._spec.seconds_per_action,
            inference_ms=duration_s * 1e3,
            backbone_hash=self._spec.backbone_hash,
            frame_id=self.config.base_frame,
            components=self._spec.components,
        )
        self._steps.publish(conversions.step_to_msg(step))
        episode.add_step(step.stamp_ns, step.inference_ms)

    def _succeeded(self) -> None:
        if self._failure:
            self.get_logger().info(f'works again after {self._backoff.failures} failures')
        self._failure = ''
        self._backoff.succeeded()

    def _on_error(self, job: _Job, error: BaseException) -> None:
        if (episode := self._episode_of(job)) is None:
            return
        kind = 'rejected' if isinstance(error, InputError) else 'backbone failed'
        wait_s = self._backoff.failed()
        text = f'{str(error) or type(error).__name__}; next attempt in {wait_s:.1f} s'
        self._faults.add(kind, text)
        if not self._failure.startswith(kind):
            # The log shows each kind once in a row of failures; /diagnostics shows all.
            self.get_logger().error(f'{kind}: {error!r}')
        self._failure = f'{kind}: {text}'
        # In lock-step the simulation repeats the same stamps until there is a step.
        self._inputs.clear()
        self._inputs.again(episode.last_stamp_ns)
        self.diagnostics.refresh()

    def _why_not(self) -> str:
        return '' if self.active else 'vla_node is not active'

    # --- diagnostics ---
    def _input_status(self) -> Status:
        running = self._episodes.current is not None
        return self._inputs.status(time.monotonic() - self._waiting_since if running else 0.0)

    def _log_inputs(self) -> None:
        """Log once when the inputs of a running episode become faulty, and once when they are good again."""
        if self._episodes.current is None:
            self._inputs_good = True
            return
        status = self._input_status()
        if (status.level == OK) == self._inputs_good:
            return
        self._inputs_good = status.level == OK
        if self._inputs_good:
            self.get_logger().info('inputs: all streams arrive again')
        else:
            self.get_logger().warning(f'inputs: {status.message}')

    def _backbone_status(self) -> Status:
        faults = self._faults.status()
        values = dict(faults.values)
        if self._superseded:
            values['superseded inferences'] = self._superseded
        busy_s = self._worker.busy_s
        if busy_s > self.config.input_timeout_s:
            return Status(ERROR, f'inference has been running for {busy_s:.1f} s', values)
        if self._backoff.failures >= _FAILURES:
            text = f'{self._backoff.failures} failures in a row: {self._failure}'
            return Status(ERROR, text, values)
        if self._episodes.refusal:
            return Status(OK, f'last goal refused: {self._episodes.refusal}', values)
        return Status(faults.level, faults.message, values)


def main(args: list[str] | None = None) -> int:
    """Run vla_node until it is stopped by a signal."""
    return run(VlaNode, args)
