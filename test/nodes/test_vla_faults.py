# SPDX-License-Identifier: Apache-2.0
"""Bad images, bad stamps, a bad backbone and a new instruction: no step, and a reason."""

import itertools
import re

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from fakes import JOINTS
from std_msgs.msg import String
from vla_rig import PIXELS, VlaRig

from aura_ros.nodes.policy_switch.node import PolicySwitchNode
from aura_ros.ros import conversions
from aura_ros.ros.sensor_messages import image_to_msg

# Of the policy switch: four actions of 0.05 s and two control periods of grace.
PLAYED_NS = 300_000_000
ROBOT = {
    'robot__joint_names': list(JOINTS),
    'robot__position_lower': [-2.0] * 8,
    'robot__position_upper': [2.0] * 8,
    'robot__velocity_max': [3.0] * 8,
    'robot__step_max': [0.15] * 8,
}


@pytest.fixture
def rig(graph):
    return VlaRig(graph)


def logged(capfd, kind):
    """How often vla_node has logged `kind` as an error or a warning."""
    return len(re.findall(rf'\[(?:ERROR|WARN)\].*\[vla_node\]: {kind}', capfd.readouterr().err))


# Images. --------------------------------------------------------------------------------------------------------------
def changed(message, **fields):
    for name, value in fields.items():
        setattr(message, name, value)
    return message


def padded(message):
    """The same image, with three bytes of rubbish behind each row."""
    rows = np.pad(PIXELS.reshape(128, -1), ((0, 0), (0, 3)), constant_values=255)
    return changed(message, step=128 * 3 + 3, data=rows.tobytes())


BAD_IMAGES = {
    'wrong encoding': {'encoding': '32FC1'},
    'no encoding': {'encoding': ''},
    'no data': {'data': b''},
    'too little data': {'data': bytes(100)},
    'too much data': {'data': bytes(128 * 128 * 3 + 1)},
    'short rows': {'step': 383, 'data': bytes(128 * 383)},
    'long rows': {'step': 400},
    'no rows': {'height': 0},
    'huge': {'width': 2**32 - 1},
    'black': {'data': bytes(128 * 128 * 3)},
}


@pytest.mark.fault('F5', 'F6')
def test_bad_images_are_refused_with_one_log_and_good_ones_go_on(graph, rig, capfd, measured):
    rig.goal()
    rig.step()
    steps = len(rig.steps)
    for name, fields in BAD_IMAGES.items():
        rejected = int(rig.values('backbone').get('rejected', 0))

        def send(fields=fields):
            stamp_ns = rig.now()
            for camera in rig.cameras:
                camera.publish(changed(image_to_msg(PIXELS, stamp_ns, 'camera'), **fields))
            rig.send_joints(stamp_ns)
            graph.spin(0.05)

        def refused(before=rejected, send=send):
            send()
            return int(rig.values('backbone').get('rejected', 0)) > before

        graph.until(refused, f'{name}: refused and counted')
        rig.node._backoff.succeeded()  # the pauses between attempts are the matter of another test
    assert len(rig.steps) == steps and rig.node.active
    assert logged(capfd, 'rejected') == 1
    rig.wait_for_diagnostic('backbone', 'camera front', DiagnosticStatus.WARN)
    rig.step()
    assert len(re.findall('works again after', capfd.readouterr().err)) == 1
    measured(f'{len(BAD_IMAGES)} kinds of bad image: 0 steps, each counted, 1 log line, 1 when it was over')


@pytest.mark.fault('F6')
@pytest.mark.parametrize('change', [padded, lambda message: changed(message, is_bigendian=1)], ids=['padded', 'big'])
def test_unusual_images_are_decoded_rightly(graph, rig, change):
    rig.goal()

    def again():
        stamp_ns = rig.now()
        for camera in rig.cameras:
            camera.publish(change(image_to_msg(PIXELS, stamp_ns, 'camera')))
        rig.send_joints(stamp_ns)
        graph.spin(0.1)
        return rig.steps

    graph.until(again, 'a step')
    np.testing.assert_allclose(conversions.step_from_msg(rig.steps[0]).features, 0.2, rtol=1e-5)


@pytest.mark.fault('F5')
@pytest.mark.parametrize('value', [np.nan, np.inf, 1e300])
def test_joints_that_are_not_finite_are_counted_with_one_log(graph, capfd, value, measured):
    rig = VlaRig(graph, input_timeout_s=0.3)
    rig.goal()
    rig.step()
    steps = len(rig.steps)
    sent = 0

    def send():
        nonlocal sent
        rig.offer(rig.now(), positions=np.full(len(JOINTS), value))
        sent += 1

    rig.wait_for_diagnostic('inputs', 'not finite', DiagnosticStatus.ERROR, send)
    graph.until(lambda: int(rig.values('inputs').get('joint_states rejected', 0)) == sent, 'all counted')
    assert len(rig.steps) == steps
    assert logged(capfd, 'inputs: joint_states') == 1
    rig.step()
    measured(f'joints {value}: {sent} sent, {sent} counted, 0 steps, 1 log line')


# Stamps. --------------------------------------------------------------------------------------------------------------
@pytest.mark.fault('F7')
def test_each_stamp_makes_one_step_and_every_other_is_counted(graph, measured):
    rig = VlaRig(graph, max_age_s=1.0, sync_slop_s=0.0)
    rig.goal()
    rig.step()
    wrong = {
        'front duplicate': lambda now_ns, last_ns: last_ns,
        'front out of order': lambda now_ns, last_ns: last_ns - 50_000_000,
        'front unstamped': lambda now_ns, last_ns: 0,
        'front future': lambda now_ns, last_ns: now_ns + 5_000_000_000,
    }

    def counted(reason, count):
        graph.until(lambda: int(rig.values('inputs').get(reason, 0)) >= count, f'{count} {reason}')

    for reason, stamp in wrong.items():
        for count in (1, 2):
            last_ns = conversions.to_ns(rig.steps[-1].header.stamp)
            rig.show(stamp(rig.now(), last_ns))
            counted(reason, count)
            rig.step()
    last_ns = conversions.to_ns(rig.steps[-1].header.stamp)
    graph.until(lambda: rig.now() - last_ns > 1_200_000_000, 'a stamp that is old and yet newer than the last step')
    rig.show(rig.now() - 1_100_000_000)
    counted('front stale', 1)
    rig.step()
    stamps = [conversions.to_ns(step.header.stamp) for step in rig.steps]
    assert all(first < second for first, second in itertools.pairwise(stamps))
    assert [step.seq for step in rig.steps] == list(range(len(stamps)))
    measured(f'{len(wrong) + 1} kinds of bad stamp: each counted by camera and reason, none made a step')


# The backbone. --------------------------------------------------------------------------------------------------------
class Guarded(VlaRig):
    """vla_node behind policy_switch_node, with a record of every control period."""

    def __init__(self, graph):
        # A busy test machine must not be taken for a dead process, nor make what was measured stale.
        super().__init__(graph, input_timeout_s=0.5, liveliness_lease_s=10.0)
        self.switch = graph.inside(
            PolicySwitchNode, policy='base', enable_control=True, joint_max_age_s=10.0, liveliness_lease_s=10.0, **ROBOT
        )
        assert self.switch.trigger_configure().name == self.switch.trigger_activate().name == 'SUCCESS'
        self.executes = False  # the switch does
        self.ticks = []
        decide = self.switch._switch.tick

        def tick(now_ns, *measured):
            command = decide(now_ns, *measured)
            self.ticks.append((now_ns, command))
            return command

        self.switch._switch.tick = tick
        graph.matched(self.node._steps)

    def show_until(self, done, what):
        def again():
            self.show(self.now())
            self.graph.spin(0.04)
            return done()

        self.graph.until(again, what)

    @property
    def driven(self):
        return bool(self.ticks) and not self.ticks[-1][1].holding

    def ages_s(self):
        """Age of the observation behind each command that drove."""
        seen_ns = {step.seq: conversions.to_ns(step.header.stamp) for step in self.steps}
        return [(now_ns - seen_ns[command.seq]) * 1e-9 for now_ns, command in self.ticks if not command.holding]


@pytest.mark.fault('F11')
@pytest.mark.parametrize(
    ('word', 'text'),
    [
        ('raise', 'failures in a row: backbone failed: raised on request'),
        ('memory', 'failures in a row: backbone failed: MemoryError'),
        ('exit', 'failures in a row: backbone failed: 1'),
        ('nothing', 'failures in a row: backbone failed'),
        ('horizon', 'actions has shape (7, 8): must be (8, 8)'),
        ('inf', 'actions: 1 of 64 values are not finite'),
        ('features', 'features: 1 of 16 values are not finite'),
        ('wait', 'inference has been running for'),
        pytest.param('hang 10', 'inference has been running for', marks=pytest.mark.slow),
    ],
)
def test_a_bad_backbone_holds_the_robot_and_a_good_one_goes_on(graph, word, text, measured):
    rig = Guarded(graph)
    rig.goal()
    rig.show_until(lambda: rig.driven, 'driven')
    rig.instructions.publish(String(data=word))
    rig.show_until(lambda: not rig.driven, 'held')
    steps, failures = len(rig.steps), []

    def reported():
        failures.append(rig.node._backoff.failures)
        return any(
            status.level == DiagnosticStatus.ERROR and text in status.message
            for message in rig.diagnostics
            for status in message.status
        )

    rig.show_until(reported, text)
    assert len(rig.steps) == steps and not rig.driven
    rig.instructions.publish(String(data='go on'))
    rig.node._backbone.resume.set()
    rig.show_until(lambda: rig.driven, 'driven again')
    oldest_s = max(rig.ages_s())
    assert oldest_s <= PLAYED_NS * 1e-9
    assert [step.seq for step in rig.steps] == list(range(len(rig.steps)))
    when = f'after {max(failures)} failures' if max(failures) else f'after {rig.node.config.input_timeout_s:g} s'
    measured(
        f'{word}: no command from an observation older than {oldest_s * 1e3:.0f} ms (a chunk and 2 periods: '
        f'{PLAYED_NS * 1e-6:.0f} ms); ERROR {when}'
    )


@pytest.mark.fault('F11')
def test_attempts_become_rare_and_are_logged_once(graph, rig, capfd, measured):
    rig.goal('raise please')
    waits = []

    def failed(count):
        rig.show(rig.now())
        graph.spin(0.02)
        return rig.node._backoff.failures >= count

    for count in range(1, 5):
        graph.until(lambda count=count: failed(count), f'failure {count}')
        waits.append(float(re.search(r'next attempt in ([\d.]+) s', rig.node._failure).group(1)))
    assert waits == [0.1, 0.2, 0.4, 0.8]
    assert logged(capfd, 'backbone failed') == 1
    rig.wait_for_diagnostic('backbone', 'failures in a row', DiagnosticStatus.ERROR)
    measured(f'tried again after {", ".join(f"{wait:g}" for wait in waits)} … 5 s; 1 log line')


# Instructions. --------------------------------------------------------------------------------------------------------
@pytest.mark.fault('F17')
def test_a_new_instruction_drops_what_is_inferred_under_the_old_one(graph, rig, measured):
    rig.goal('wait')
    episode = rig.node._episodes.current
    rig.infer_until_resumed()
    rig.instructions.publish(String(data='go on'))
    graph.until(lambda: episode.instruction == 'go on', 'the new instruction')
    rig.node._backbone.resume.set()
    first = rig.step()
    assert first.seq == 0 and first.episode_id == episode.id
    assert rig.node._superseded == 1 and len(rig.steps) == 1
    graph.until(lambda: rig.values('backbone').get('superseded inferences') == '1', 'counted')
    rig.instructions.publish(String(data='   '))
    rig.step()
    assert episode.instruction == 'go on'
    measured('inference under the old instruction: 1 dropped; the episode and its numbers go on')


@pytest.mark.fault('F17')
def test_the_newest_observation_is_used_again_with_the_new_instruction(graph, measured):
    """In lock-step nothing more comes before this observation has been answered."""
    rig = VlaRig(graph, max_age_s=30.0)
    rig.goal('wait')
    stamp_ns = rig.infer_until_resumed()
    rig.instructions.publish(String(data='go on'))
    graph.until(lambda: rig.node._episodes.current.instruction == 'go on', 'the new instruction')
    rig.node._backbone.resume.set()
    graph.until(lambda: rig.steps and rig.settled(stamp_ns), 'a step')
    assert conversions.to_ns(rig.steps[0].header.stamp) == stamp_ns
    assert rig.node._superseded == 1 and len(rig.steps) == 1
    measured('the same observation made one step, under the new instruction')
