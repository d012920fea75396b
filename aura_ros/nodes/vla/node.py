# SPDX-License-Identifier: Apache-2.0
"""vla_node: cameras, joints and an instruction in, one numbered VlaStep after another out.

Threads: everything runs in the executor thread, but for decoding and inference, which one worker
does (inference.py); its outcome comes back as an executor task, so that steps are numbered and
published in one place. Clocks: stamps are the observations' and are compared with the ROS clock;
back-off and time-outs are on the steady clock. Lifetime: backbone and worker live from configure to
cleanup.
"""

import time
from dataclasses import dataclass
from typing import Any

from rclpy.clock import JumpThreshold
from rclpy.duration import Duration
from sensor_msgs.msg import CompressedImage, Image, JointState
from std_msgs.msg import String

from aura_ros.common.errors import InputError
from aura_ros.memory import Step
from aura_ros.msg import GateSample, VlaStep
from aura_ros.nodes.vla.config import VlaNodeConfig
from aura_ros.nodes.vla.episode import Episode, EpisodeServer
from aura_ros.nodes.vla.inputs import Inputs, Timing, decode
from aura_ros.ros import conversions, qos
from aura_ros.ros.diagnostics import ERROR, OK, Faults, Status
from aura_ros.ros.entities import EntityOwner
from aura_ros.ros.lifecycle import LifecycleNode, run
from aura_ros.ros.parameters import ParameterSet
from aura_ros.vla import load_backbone
from aura_ros.vla.assembler import Aligned
from aura_ros.vla.inference import Backoff, LatestOnlyWorker, Outcome
from aura_ros.vla.protocol import VlaOutput

_STOP_S = 2.0
_FIRST_BACKOFF_S, _LONGEST_BACKOFF_S = 0.1, 5.0
# So many failures in a row are an ERROR.
_FAILURES = 3


@dataclass(frozen=True)
class _Job:
    episode_id: str
    instruction: str
    inputs: Aligned[Any]


class VlaNode(LifecycleNode):
    """The frozen backbone as a node."""

    def __init__(self, **kwargs: object) -> None:
        """Declare the parameters."""
        super().__init__('vla_node', **kwargs)
        self._declared = ParameterSet(self, VlaNodeConfig, lambda: self.in_use)
        self._entities = EntityOwner(self)
        self._faults = Faults('backbone works')
        self._worker: LatestOnlyWorker[_Job, VlaOutput] | None = None
        self._episodes: EpisodeServer | None = None
        self._waiting_since = time.monotonic()

    def configure(self) -> None:
        """Load the backbone, start the worker, join the graph."""
        self.config = config = self._declared.read()
        self._backbone = load_backbone(config.backbone, config.backbone_path or None)
        self._spec = spec = self._backbone.spec
        timing = Timing(config.sync_slop_s, config.max_age_s, config.stamp_tolerance_s, config.input_timeout_s)
        self._inputs = Inputs(spec, timing)
        self._backoff = Backoff(_FIRST_BACKOFF_S, _LONGEST_BACKOFF_S)
        # What went wrong last and has not worked since; '' when all is well.
        self._failure = ''
        self._inputs_good = True
        self._superseded = 0
        self._worker = LatestOnlyWorker(self._infer, self._deliver)
        self._episodes = EpisodeServer(self, self._why_not, self._finished)
        self._join_graph(config)
        self.diagnostics.add('inputs', self._input_status)
        self.diagnostics.add('backbone', self._backbone_status)
        self.diagnostics.add('qos', self._entities.qos_status)
        self.get_logger().info(f"backbone '{spec.name}' {spec.backbone_hash[:12]} is ready")

    def deactivate(self) -> None:
        """End the running episode."""
        self._end_episode('vla_node was deactivated')

    def release(self) -> None:
        """Stop the worker, leave the graph, forget the backbone."""
        self.diagnostics.remove('inputs', 'backbone', 'qos')
        if self._worker is not None and not self._worker.stop(_STOP_S):
            self.get_logger().warning(f'inference did not end within {_STOP_S} s, left behind')
        self._worker = None
        self._entities.destroy()
        if self._episodes is not None:
            self._episodes.destroy()
        self._episodes = None
        self._backbone = None

    def _join_graph(self, config: VlaNodeConfig) -> None:
        make, sensors = self._entities, config.camera_reliability
        step_qos = qos.step(config.liveliness_lease_s)
        self._steps = make.publisher(VlaStep, 'vla_step', step_qos)
        # Made first, so that of all that has arrived the executor takes the instruction first.
        make.subscription(String, 'instruction', self._on_instruction, qos.INSTRUCTION)
        raw = config.camera_transport == 'raw'
        for camera in self._spec.cameras:
            topic = f'camera/{camera}/image_raw' + ('' if raw else '/compressed')
            kind = Image if raw else CompressedImage
            on_image = self._image_callback(camera)
            make.subscription(kind, topic, on_image, qos.sensor(sensors, 1))
        make.subscription(JointState, 'joint_states', self._on_joints, qos.sensor(sensors, 5))
        make.subscription(GateSample, 'aura/gate', self._on_gate, qos.GATE)
        make.timer(0.1, self._on_timer)
        jumps = self.get_clock().create_jump_callback(
            JumpThreshold(min_forward=None, min_backward=Duration(nanoseconds=-1), on_clock_change=True),
            post_callback=lambda _: self._inputs.clear(),
        )
        make.on_destroy(jumps.unregister)

    # Inputs. --------------------------------------------------------------------------------------
    def _image_callback(self, camera: str) -> Any:
        def on_image(message: Image | CompressedImage) -> None:
            now_ns = self.get_clock().now().nanoseconds
            self._inputs.add_image(camera, message, now_ns)
            self._try_step(now_ns)

        return on_image

    def _on_joints(self, message: JointState) -> None:
        now_ns = self.get_clock().now().nanoseconds
        self._inputs.add_joints(message, now_ns)
        self._try_step(now_ns)

    def _on_instruction(self, message: String) -> None:
        if not self._episodes.instruct(message.data):
            return
        # What is seen now is looked at again under the new instruction; what comes of the old one
        # is thrown away in _on_outcome.
        episode = self._episodes.current
        self.get_logger().info(f"episode {episode.id}: now '{episode.instruction}'")
        self._worker.clear()
        self._inputs.again(episode.last_stamp_ns)
        self._try_step(self.get_clock().now().nanoseconds)

    def _on_gate(self, message: GateSample) -> None:
        episode = self._episodes.current
        if episode is not None and message.episode_id == episode.id:
            episode.remembered(message.seq, message.written)

    def _on_timer(self) -> None:
        if self._episodes.current is not None:
            self._episodes.current.settle()
        self._tell_inputs()

    # Steps. ---------------------------------------------------------------------------------------
    def _try_step(self, now_ns: int) -> None:
        episode = self._episodes.current
        if not self.active or episode is None or not episode.stepping:
            self._waiting_since = time.monotonic()
            return
        if self._backoff.waiting or not self._heard(episode):
            return
        aligned = self._inputs.take(now_ns)
        last_ns = episode.last_stamp_ns
        if aligned is None or (last_ns is not None and aligned.stamp_ns <= last_ns):
            return
        if self._worker.submit(_Job(episode.id, episode.instruction, aligned)):
            text = f'inference is slower than the step period, {self._worker.dropped} dropped'
            self._faults.add('dropped observation', text)

    def _heard(self, episode: Episode) -> bool:
        if episode.steps:
            return True
        return self._steps.get_subscription_count() >= self.config.step_subscribers

    def _infer(self, job: _Job) -> VlaOutput:
        """Run in the worker: decode, infer, check what came out."""
        spec = self._spec
        output = self._backbone.infer(decode(job.inputs, spec, job.instruction))
        return VlaOutput(
            conversions.finite('features', output.features, (spec.feature_dim,)),
            conversions.finite('actions', output.actions, (spec.chunk_size, spec.action_dim)),
        )

    def _deliver(self, outcome: Outcome[_Job, VlaOutput]) -> None:
        self.executor.create_task(self._on_outcome, outcome)

    def _on_outcome(self, outcome: Outcome[_Job, VlaOutput]) -> None:
        episode = self._episodes.current if self._episodes is not None else None
        job = outcome.job
        if episode is None or episode.id != job.episode_id or not episode.stepping:
            return
        if outcome.error is not None:
            self._failed(outcome.error, episode)
            return
        self._succeeded()
        last_ns = episode.last_stamp_ns
        seen_before = last_ns is not None and job.inputs.stamp_ns <= last_ns
        if seen_before or job.instruction != episode.instruction:
            self._superseded += 1
            return
        self._waiting_since = time.monotonic()
        step = Step(
            episode_id=episode.id,
            seq=episode.steps,
            stamp_ns=job.inputs.stamp_ns,
            features=outcome.result.features,
            base_action=outcome.result.actions,
            seconds_per_action=self._spec.seconds_per_action,
            inference_ms=outcome.duration_s * 1e3,
            backbone_hash=self._spec.backbone_hash,
            frame_id=self.config.base_frame,
        )
        self._steps.publish(conversions.step_to_msg(step))
        episode.stepped(step.stamp_ns, step.inference_ms)

    def _succeeded(self) -> None:
        if self._failure:
            self.get_logger().info(f'works again after {self._backoff.failures} failures')
        self._failure = ''
        self._backoff.succeeded()

    def _failed(self, error: BaseException, episode: Episode) -> None:
        kind = 'rejected' if isinstance(error, InputError) else 'backbone failed'
        wait_s = self._backoff.failed()
        text = f'{str(error) or type(error).__name__}; again in {wait_s:.1f} s'
        self._faults.add(kind, text)
        if not self._failure.startswith(kind):
            # Once for each kind in a row of failures; /diagnostics tells of every one.
            self.get_logger().error(f'{kind}: {error!r}')
        self._failure = f'{kind}: {text}'
        # In lock-step the same stamps are sent again until a step is made of them.
        self._inputs.clear()
        self._inputs.again(episode.last_stamp_ns)
        self.diagnostics.refresh()

    # Episodes. ------------------------------------------------------------------------------------
    def _why_not(self) -> str:
        return '' if self.active else 'vla_node is not active'

    def _end_episode(self, reason: str) -> None:
        if self._episodes is not None:
            self._episodes.end(reason)

    def _finished(self, episode: Episode) -> None:
        if self._worker is not None:
            self._worker.clear()

    # Diagnostics. ---------------------------------------------------------------------------------
    def _input_status(self) -> Status:
        running = self._episodes is not None and self._episodes.current is not None
        return self._inputs.status(time.monotonic() - self._waiting_since if running else 0.0)

    def _tell_inputs(self) -> None:
        """Log what a running episode lacks, once when it begins and once when it is over."""
        if self._episodes.current is None:
            self._inputs_good = True
            return
        status = self._input_status()
        if (status.level == OK) == self._inputs_good:
            return
        self._inputs_good = status.level == OK
        if self._inputs_good:
            self.get_logger().info('inputs: all arrive again')
        else:
            self.get_logger().warning(f'inputs: {status.message}')

    def _backbone_status(self) -> Status:
        found = self._faults.status()
        values = dict(found.values)
        if self._superseded:
            values['superseded inferences'] = self._superseded
        hangs = self._worker.busy_s
        if hangs > self.config.input_timeout_s:
            return Status(ERROR, f'inference has been running for {hangs:.1f} s', values)
        if self._backoff.failures >= _FAILURES:
            text = f'{self._backoff.failures} failures in a row: {self._failure}'
            return Status(ERROR, text, values)
        if self._episodes.refusal:
            return Status(OK, f'last goal refused: {self._episodes.refusal}', values)
        return Status(found.level, found.message, values)


def main(args: list[str] | None = None) -> int:
    """Run vla_node until it is told to end."""
    return run(VlaNode, args)
