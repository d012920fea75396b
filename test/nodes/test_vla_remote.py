# SPDX-License-Identifier: Apache-2.0
"""vla_node with a backbone in a policy server: its steps, and what happens when the server goes away."""

import threading
from contextlib import contextmanager

import numpy as np
import pytest

pytest.importorskip('msgpack')
pytest.importorskip('websockets')
from fakes import JOINTS, SPEC, ScriptedVla
from rclpy.lifecycle import TransitionCallbackReturn
from vla_rig import VlaRig

from aura_ros.ros import conversions
from aura_ros.vla.remote import Contract, Features, PolicyServer, ServerOptions

CONTRACT = Contract.of(SPEC, Features('features', 'none'))


@contextmanager
def serving(port=0, contract=CONTRACT):
    server = PolicyServer(ScriptedVla(), contract, ServerOptions(port=port))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.port
    finally:
        server.shutdown()
        thread.join()


def rig_for(graph, port):
    return VlaRig(graph, backbone='remote', backbone_path=f'ws://127.0.0.1:{port}')


def test_steps_are_those_of_the_backbone_behind_the_server(graph):
    with serving() as port:
        rig = rig_for(graph, port)
        assert rig.goal(max_steps=2).accepted
        steps = [conversions.step_from_msg(rig.step(positions=np.full(len(JOINTS), 0.1 * seq))) for seq in range(2)]
        assert [step.seq for step in steps] == [0, 1]
        for seq, step in enumerate(steps):
            np.testing.assert_allclose(step.base_action, 0.1 * seq + 0.01, rtol=1e-5)
            assert step.backbone_hash == SPEC.backbone_hash
        rig.node.trigger_deactivate()
        assert rig.node.trigger_cleanup() is TransitionCallbackReturn.SUCCESS


def test_steps_go_on_without_a_gap_when_the_server_is_back(graph):
    with serving() as port:
        rig = rig_for(graph, port)
        assert rig.goal().accepted
        rig.step()
    rig.wait_for_diagnostic('backbone', 'backbone failed', meanwhile=lambda: rig.offer(rig.now()))
    assert len(rig.steps) == 1
    with serving(port):

        def stepped():
            rig.offer(rig.now())
            return len(rig.steps) > 1

        graph.until(stepped, 'a step from the new server')
        assert [step.seq for step in rig.steps] == list(range(len(rig.steps)))
        rig.node.trigger_deactivate()
        rig.node.trigger_cleanup()


def test_server_of_other_weights_makes_no_step(graph):
    from dataclasses import replace

    with serving() as port:
        rig = rig_for(graph, port)
        assert rig.goal().accepted
        rig.step()
    with serving(port, replace(CONTRACT, backbone_hash='cd' * 32)):

        def reported():
            rig.offer(rig.now())
            return 'another backbone' in rig.node._failure

        graph.until(reported, 'the refusal')
        assert len(rig.steps) == 1


def test_no_server_is_a_failed_configuration(graph, monkeypatch):
    from aura_ros.nodes.vla.node import VlaNode
    from aura_ros.vla.remote import options

    with serving() as port:
        pass
    monkeypatch.setattr(options.RemoteOptions.__init__, '__defaults__', (0.05, 0.5, 1.0, 1.0))
    node = graph.inside(VlaNode, backbone='remote', backbone_path=f'ws://127.0.0.1:{port}')
    assert node.trigger_configure() is not TransitionCallbackReturn.SUCCESS
