# SPDX-License-Identifier: Apache-2.0
"""A memory policy in the process of the test, and steps for it."""

import numpy as np
from aura_ros.msg import ActionChunk, GateSample, VlaStep
from fakes import CHUNK_LEN, FEATURES, JOINTS

from aura_ros.memory import Step
from aura_ros.ros import conversions, qos

FIRST, SECOND = '00000000-0000-4000-8000-000000000001', '00000000-0000-4000-8000-000000000002'


def step(seq, episode=FIRST, features=0.5, stamp_ns=None):
    return conversions.step_to_msg(
        Step(
            episode,
            seq,
            1_000_000_000 + seq * 200_000_000 if stamp_ns is None else stamp_ns,
            np.full(FEATURES, features, np.float32),
            np.full((CHUNK_LEN, len(JOINTS)), seq, np.float32),
            0.05,
            frame_id='base_link',
        )
    )


class Policy:
    """A memory policy in this process, with its input and its output. By default it applies steps of any age."""

    def __init__(self, graph, make, kind, max_age_s=0.0, **parameters):
        self.prefix = make.prefix
        self.chunks = graph.listen(ActionChunk, f'{self.prefix}/action_chunk', qos.chunk())
        self.gates = graph.listen(GateSample, f'{self.prefix}/gate', qos.GATE)
        self.node = graph.inside(make, memory=f'fakes:{kind}', autostart=True, max_age_s=max_age_s, **parameters)
        assert self.node.autostart()
        self._graph = graph
        self.steps = graph.node.create_publisher(VlaStep, 'vla_step', qos.step())
        graph.matched(self.steps)
        for name in ('action_chunk', 'gate'):
            topic = f'{self.prefix}/{name}'
            graph.until(lambda topic=topic: graph.node.count_publishers(topic), topic)

    def feed(self, *messages, answers):
        """Publish steps and wait until `answers` chunks have arrived in total."""
        for message in messages:
            self.steps.publish(message)
        self._graph.until(lambda: len(self.gates) >= answers, f'{answers} gate samples')
        self._graph.until(lambda: len(self.chunks) >= answers, f'{answers} chunks')

    @property
    def seqs(self):
        return [chunk.seq for chunk in self.chunks]
