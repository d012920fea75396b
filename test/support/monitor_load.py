# SPDX-License-Identifier: Apache-2.0
"""Measures what the monitor costs beside a graph that publishes at a given rate.

    python test/support/monitor_load.py [HZ] [SECONDS]
    python test/support/monitor_load.py window [HZ] [SECONDS]
    python test/support/monitor_load.py painted [HOURS]

The first command prints the CPU share of one core that bridge, model and queries take at HZ steps a second. It also
prints the growth of the process during an hour of steps that arrive as fast as possible. The second measures the whole
monitor in its own process, without a display. The third paints the monitor as often as in HOURS (1), at five steps
a second, and prints the size of the process after each tenth. Nothing is asserted, because the results depend on the
machine.
"""

import array
import os
import subprocess
import sys
import tempfile
import time

import numpy as np
import psutil
import rclpy
from aura_ros.msg import ActionChunk, CacheStatus, GateSample, MemoryState, PolicyStatus, VlaStep, WriteEvent
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.node import Node
from sensor_msgs.msg import Image

from aura_ros.ros import qos
from aura_ros.ros.conversions import to_stamp
from aura_ros.ros.sensor_messages import image_to_msg
from aura_ros.rqt.bridge import OwnBridge
from aura_ros.rqt.model import MonitorModel
from aura_ros.rqt.points import AURA, KV, CachePoint, GatePoint, StatePoint, StepPoint, WritePoint

NODES = ('vla_node', 'memory_node', 'kv_baseline_node', 'policy_switch_node', 'sim_node')
TICK_S = 1 / 15
HOUR_S = 3600


class Publisher:
    """Publishes everything that the nodes of the graph publish; every step is a write."""

    def __init__(self, node, hz):
        self._node, self._hz, self.seq = node, hz, 0
        make = node.create_publisher
        self._steps, self._image = make(VlaStep, 'vla_step', qos.step()), make(Image, 'camera/front/image_raw', 5)
        self._gates = [make(GateSample, f'{prefix}/gate', qos.GATE) for prefix in ('aura', 'kv')]
        self._cache = make(CacheStatus, 'kv/cache_status', qos.CACHE_STATUS)
        self._writes = make(WriteEvent, 'aura/write_event', qos.WRITE_EVENT)
        self._states = make(MemoryState, 'aura/memory_state', qos.MEMORY_STATE)
        self._policies = make(PolicyStatus, 'policy_status', qos.POLICY_STATUS)
        self._diagnostics = make(DiagnosticArray, '/diagnostics', qos.DIAGNOSTICS)
        self._pixels = np.zeros((128, 128, 3), np.uint8)
        self._weights = np.zeros(1024, np.float32)

    def _message(self, kind, **values):
        message = kind(episode_id='e', seq=self.seq, **values)
        message.header.stamp = self._stamp
        return message

    def step(self):
        """Publish all messages of one step."""
        stamp_ns = time.time_ns()
        self._stamp = to_stamp(stamp_ns)
        zeros = array.array('f', bytes(4 * 512))
        self._image.publish(image_to_msg(self._pixels, stamp_ns, 'camera'))
        self._steps.publish(self._message(VlaStep, features=zeros, base_action=zeros, inference_ms=20.0))
        for policy, publisher in enumerate(self._gates, 1):
            publisher.publish(
                self._message(
                    GateSample,
                    policy=policy,
                    gate=0.5 + 0.5 * np.sin(self.seq / 9).item(),
                    threshold=0.5,
                    written=True,
                    step_us=40.0,
                    state_bytes=4224 if policy == ActionChunk.POLICY_AURA else 256 * self.seq,
                )
            )
        self._cache.publish(self._message(CacheStatus, entries=self.seq, bytes=256 * self.seq))
        self._writes.publish(
            self._message(WriteEvent, policy=1, gate=0.9, threshold=0.5, durability=2, writes=self.seq + 1)
        )
        for _ in range(3):  # policy_switch_node: one for each policy's chunk
            status = PolicyStatus(episode_id='e', policy=1, pending_policy=1, control_enabled=True)
            status.header.stamp = self._stamp
            self._policies.publish(status)
        if self.seq % max(1, self._hz // 2) == 0:
            self._weights = self._weights + np.float32(0.01)
            self._states.publish(
                self._message(MemoryState, fast_weights=self._weights, row_age=np.zeros(32, np.uint64))
            )
        if self.seq % max(1, self._hz) == 0:
            for name in NODES:
                self._diagnostics.publish(
                    DiagnosticArray(
                        status=[
                            DiagnosticStatus(
                                name=f'{name}: {check}', hardware_id=name, values=[KeyValue(key='k', value='1')]
                            )
                            for check in ('lifecycle', 'steps', 'state', 'qos')
                        ]
                    )
                )
        self.seq += 1


def publish(hz, seconds):
    """Publish in this process."""
    rclpy.init()
    node = Node('publisher')
    publisher, begin = Publisher(node, hz), time.monotonic()
    while (now := time.monotonic()) < begin + seconds:
        if now >= begin + publisher.seq / hz:
            publisher.step()
        else:
            time.sleep(0.002)
    node.destroy_node()
    rclpy.shutdown()


def query(model, now_s):
    """Make all queries that the views make in one tick."""
    return model.gate(1500), model.raster(), model.state(), model.writes(20), model.thumbnails(20), model.header(now_s)


def receive(hz, seconds):
    """Receive `hz` steps a second; return the model, the number of points, and CPU seconds per second."""
    publisher = subprocess.Popen([sys.executable, __file__, 'publish', str(hz), str(seconds + 4)], env=dict(os.environ))
    bridge, model, received = OwnBridge(), MonitorModel(), 0
    try:
        while not bridge.drain():
            time.sleep(TICK_S)
        time.sleep(1.0)  # discovery is not measured
        began, cpu = time.monotonic(), time.process_time()
        while (now := time.monotonic()) < began + seconds:
            points = bridge.drain()
            received += len(points)
            for point in points:
                model.ingest(point, now)
            query(model, now)
            time.sleep(TICK_S)
        return model, received, (time.process_time() - cpu) / (time.monotonic() - began)
    finally:
        bridge.close()
        publisher.wait()


def window(hz=30, seconds=30):
    """Print the cost of the whole monitor at `hz` steps a second."""
    domain = {'ROS_DOMAIN_ID': os.environ.get('ROS_DOMAIN_ID', '97'), 'QT_QPA_PLATFORM': 'offscreen'}
    env = os.environ | domain | {'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST', 'OMP_NUM_THREADS': '1'}
    settle = 12  # imports, discovery and the first painting are not measured
    publisher = subprocess.Popen([sys.executable, __file__, 'publish', str(hz), str(2 * settle + seconds)], env=env)
    with tempfile.TemporaryDirectory() as folder:
        save = ['--save', f'{folder}/page.png', '--after', str(settle + seconds + 4)]
        program = 'import sys; from aura_ros.rqt.window import main; sys.exit(main())'
        monitor = psutil.Popen([sys.executable, '-c', program, *save], env=env)
        time.sleep(settle)
        before, began = monitor.cpu_times(), time.monotonic()
        time.sleep(seconds)
        after, passed = monitor.cpu_times(), time.monotonic() - began
        share = (after.user + after.system - before.user - before.system) / passed
        print(f'{hz} steps/s, each a write: {100 * share:.1f} % of a core, {monitor.memory_info().rss / 1e6:.0f} MB')
        if monitor.wait():
            raise SystemExit('the monitor received nothing')
    publisher.wait()


def replay_hour(hz):
    """Feed an hour of steps to a model; return by how many bytes the process grew."""
    process, model = psutil.Process(), MonitorModel()
    before = process.memory_info().rss
    weights = np.zeros((32, 32), np.float32)
    for seq in range(HOUR_S * hz):
        stamp_s = 1000.0 + seq / hz
        model.ingest(StepPoint(stamp_s, seq, 20.0, 'e'), stamp_s)
        model.ingest(GatePoint(stamp_s, 'e', seq, 0.4, 0.5, True, 1.0, 40.0, 4224, AURA), stamp_s)
        model.ingest(GatePoint(stamp_s, 'e', seq, 1.0, 0.0, True, 1.0, 40.0, 256 * seq, KV), stamp_s)
        model.ingest(CachePoint(stamp_s, seq, seq, 256 * seq, 0), stamp_s)
        model.ingest(WritePoint(stamp_s, 'e', seq, AURA, 0.9, 0.5, 1.0, 0.1, 0.1, seq, 0, 0, 0.0, 0, 2), stamp_s)
        if seq % max(1, hz // 2) == 0:
            weights = weights + np.float32(0.001)
            ages = np.zeros(32, np.uint64)
            model.ingest(StatePoint(stamp_s, 'e', seq, weights, weights[0].copy(), ages, 0), stamp_s)
        if seq % (60 * hz) == 0:
            query(model, stamp_s)
    return process.memory_info().rss - before


def paint(hours=1.0):
    """Paint the monitor through hours of a story, as fast as possible."""
    from unittest import mock

    from monitor_stage import SIZE, FakeSource
    from monitor_story import Story

    from aura_ros.rqt import monitor as module
    from aura_ros.rqt.qt import QtWidgets

    application = QtWidgets.QApplication([])
    source, process, clock = FakeSource(), psutil.Process(), [0.0]
    with mock.patch.object(module.time, 'monotonic', lambda: clock[0]):
        page = module.Monitor(MonitorModel(), source)
        page.stop()
        page.resize(*SIZE)
        page.show()
        tenth, points = hours * HOUR_S / 10, []
        for timed in Story(hours * HOUR_S):
            while timed.after_s > clock[0]:
                source.points, points = points, []
                page.tick()
                application.processEvents()
                clock[0] += module.TICK_MS * 1e-3
                if clock[0] % tenth < module.TICK_MS * 1e-3:
                    print(f'{clock[0] / 60:.0f} min: {process.memory_info().rss / 1e6:.1f} MB', flush=True)
            points.append(timed.point)
        page.close()


def main(hz=30, seconds=20):
    """Measure and print."""
    _, received, share = receive(hz, seconds)
    print(
        f'{hz} steps/s, {received / seconds:.0f} points/s: {100 * share:.1f} % of a core for bridge, model and queries'
    )
    began = time.process_time()
    grown = replay_hour(hz)
    print(f'an hour at {hz} steps/s in {time.process_time() - began:.0f} s of CPU: grew by {grown / 1e6:.1f} MB')


if __name__ == '__main__':
    if sys.argv[1:2] == ['publish']:
        publish(int(sys.argv[2]), float(sys.argv[3]))
    elif sys.argv[1:2] == ['window']:
        window(*(int(argument) for argument in sys.argv[2:]))
    elif sys.argv[1:2] == ['painted']:
        paint(*(float(argument) for argument in sys.argv[2:]))
    else:
        main(*(int(argument) for argument in sys.argv[1:]))
