# SPDX-License-Identifier: Apache-2.0
"""`aura topics call` and `goal` with servers in the node of the test."""

import signal
import time

import pytest
from aura_ros.action import RunEpisode
from aura_ros.msg import ActionChunk, PolicyStatus, TaskEvent, WriteEvent
from aura_ros.srv import SaveState, SelectPolicy
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.action import ActionServer, CancelResponse, GoalResponse
from rclpy.task import Future
from sensor_msgs.msg import CameraInfo, JointState

from aura_ros.common.errors import InputError
from aura_ros.tools.topics.input import filled
from aura_ros.tools.topics.text import as_text


@pytest.fixture
def requested(graph):
    """Serve select_policy, which refuses KV; return the policies requested."""
    requests = []

    def answer(request, response):
        requests.append(request.policy)
        response.success = request.policy != ActionChunk.POLICY_KV
        response.new_policy = request.policy
        return response

    graph.node.create_service(SelectPolicy, 'select_policy', answer)
    return requests


class Episodes:
    """The action run_episode; a goal ends when the test calls `end`, or when it is cancelled."""

    def __init__(self, graph, *, accepts=True):
        self.goals, self.published, self.cancels = [], 0, 0
        self._ended = Future()
        self.server = ActionServer(
            graph.node,
            RunEpisode,
            'run_episode',
            self._execute,
            goal_callback=lambda _: GoalResponse.ACCEPT if accepts else GoalResponse.REJECT,
            cancel_callback=self._cancel,
        )
        self._executor = graph.executor

    async def _execute(self, handle):
        self.goals.append(handle)
        success = await self._ended
        if handle.is_cancel_requested:
            handle.canceled()
        elif success:
            handle.succeed()
        else:
            handle.abort()
        return RunEpisode.Result(success=success, reason='as the test decides')

    def _cancel(self, _handle):
        self.cancels += 1
        # in a later turn, when the goal is CANCELING
        self._executor.create_task(lambda: self.end(True))
        return CancelResponse.ACCEPT

    def end(self, success):
        self._ended.set_result(success)

    def publish(self):
        if self.goals:
            self.published += 1
            self.goals[0].publish_feedback(RunEpisode.Feedback(seq=self.published))


@pytest.mark.graph
def test_call_finds_the_type_and_prints_the_response_with_constants(requested, view):
    viewer = view('call', 'select_policy', '{policy: POLICY_AURA}')
    assert viewer.ended() == 0, viewer.err
    assert requested == [ActionChunk.POLICY_AURA]
    assert viewer.out.splitlines()[0] == 'success: true'
    assert 'new_policy: 1  # POLICY_AURA' in viewer.out


@pytest.mark.graph
def test_a_response_without_success_is_an_exit_code(requested, view):
    viewer = view('call', '/select_policy', '{policy: 2}')
    assert viewer.ended() == 1
    assert 'success: false' in viewer.out
    assert viewer.err == ''


@pytest.mark.graph
def test_a_value_that_does_not_fit_is_not_sent(requested, view):
    viewer = view('call', 'select_policy', '{policy: 300}')
    assert viewer.ended() == 2
    assert viewer.err == (
        "aura topics: field 'policy' = 300: must be an integer from 0 to 255: "
        '0 POLICY_BASE, 1 POLICY_AURA, 2 POLICY_KV\n'
    )
    assert requested == []


@pytest.mark.graph
def test_an_unknown_service_lists_the_available_ones(graph, requested, view):
    graph.node.create_service(SaveState, 'aura/save_state', lambda _, response: response)
    viewer = view('call', 'save_state')
    assert viewer.ended() == 1
    assert viewer.err.startswith('aura topics: no service /save_state after 5 s on ROS domain ')
    assert 'did you mean /aura/save_state?' in viewer.err
    assert '(found /aura/save_state, /select_policy)' in viewer.err


@pytest.mark.graph
def test_a_service_without_a_server_is_an_error(graph, view):
    graph.node.create_client(SelectPolicy, 'select_policy')
    viewer = view('call', 'select_policy')
    assert viewer.ended() == 1
    assert 'has no server after 5 s' in viewer.err


@pytest.mark.graph
def test_a_call_without_a_response_prints_a_notice_and_can_be_stopped(graph, view):
    async def never(_request, _response):
        await Future()

    graph.node.create_service(SelectPolicy, 'select_policy', never)
    viewer = view('call', 'select_policy')
    viewer.until(lambda: 'waiting for the response of /select_policy' in viewer.err)
    viewer.process.send_signal(signal.SIGINT)
    assert viewer.ended() == 130


@pytest.mark.graph
def test_goal_shows_feedback_once_a_second_and_the_result(graph, view):
    episodes, start = Episodes(graph), time.monotonic()
    viewer = view('goal', 'run_episode', '{instruction: touch it, max_steps: 7}')
    viewer.until(lambda: viewer.out.count('feedback:') >= 3, episodes.publish)
    shown, elapsed = viewer.out.count('feedback:'), time.monotonic() - start
    assert shown <= elapsed + 1.0
    assert shown < episodes.published
    episodes.end(True)
    assert viewer.ended() == 0, viewer.err
    goal = episodes.goals[0].request
    assert (goal.instruction, goal.max_steps) == ('touch it', 7)
    assert 'result (succeeded):\n  success: true\n' in viewer.out
    assert '  reason: as the test decides' in viewer.out


@pytest.mark.graph
def test_an_aborted_goal_is_an_exit_code(graph, view):
    episodes = Episodes(graph)
    viewer = view('goal', 'run_episode')
    viewer.until(lambda: episodes.goals)
    episodes.end(False)
    assert viewer.ended() == 1
    assert 'result (aborted):\n  success: false\n' in viewer.out


@pytest.mark.graph
def test_ctrl_c_cancels_the_goal_and_waits_for_its_end(graph, view):
    episodes = Episodes(graph)
    viewer = view('goal', 'run_episode')
    viewer.until(lambda: 'accepted' in viewer.err)
    viewer.process.send_signal(signal.SIGINT)
    assert viewer.ended() == 1
    assert episodes.cancels == 1
    assert 'result (cancelled):' in viewer.out


@pytest.mark.graph
def test_a_rejected_goal_names_the_log(graph, view):
    episodes = Episodes(graph, accepts=False)
    viewer = view('goal', 'run_episode')
    assert viewer.ended() == 1
    assert '/run_episode rejected the goal; see the log of its node' in viewer.err
    assert episodes.goals == []


def test_fields_of_every_kind_are_taken_from_yaml():
    joints = filled(JointState, '{header: {stamp: {sec: -5}, frame_id: "7"}, name: [a], position: [1, 2.5, 1e3]}')
    assert (joints.header.stamp.sec, joints.header.frame_id) == (-5, '7')
    assert joints.name == ['a']
    assert list(joints.position) == [1.0, 2.5, 1000.0]
    status = filled(DiagnosticStatus, '{level: 2, values: [{key: k}, {value: v}]}')
    assert status.level == b'\x02'
    assert [(pair.key, pair.value) for pair in status.values] == [('k', ''), ('', 'v')]
    camera = filled(CameraInfo, '{k: [1, 0, 0, 0, 1, 0, 0, 0, 1], roi: {do_rectify: true}}')
    assert camera.k.sum() == 3.0 and camera.roi.do_rectify
    assert filled(WriteEvent, 'durability: DURABILITY_QUEUED').durability == 1
    assert filled(SaveState.Request, '') == SaveState.Request()


@pytest.mark.parametrize(
    ('kind', 'text', 'reason'),
    [
        (SelectPolicy.Request, '{policy: 1', "fields '{policy: 1' are not valid YAML"),
        (SelectPolicy.Request, '1', "the fields = 1: must be '{name: value}' .* policy (uint8)"),
        (SelectPolicy.Request, '{amr: 1}', "field 'amr' = 1: SelectPolicy_Request has policy (uint8)"),
        (SelectPolicy.Request, '{policy:1}', 'YAML needs a space after the colon'),
        (SelectPolicy.Request, '{policy: true}', "field 'policy' = true: must be an integer"),
        (SelectPolicy.Request, '{policy: 1.0}', "field 'policy' = 1.0: must be an integer"),
        (SelectPolicy.Request, '{policy: AURA}', 'field \'policy\' = "AURA": .*1 POLICY_AURA'),
        (SelectPolicy.Request, '{policy: -1}', "field 'policy' = -1: must be an integer from 0 to 255"),
        (RunEpisode.Goal, '{instruction: on}', "field 'instruction' = true: must be text .*quotes"),
        (RunEpisode.Goal, f'{{instruction: {"é" * 129}}}', 'text of at most 256 bytes'),
        (JointState, '{header: 5}', "field 'header' = 5: must be '{name: value}'"),
        (JointState, '{header: {stamp: {sec: 2147483648}}}', "field 'header.stamp.sec' = 214"),
        (JointState, '{position: 1.0}', "field 'position' = 1.0: must be a list of type doubl"),
        (JointState, '{position: [0, x]}', 'field \'position[1]\' = "x": must be a number'),
        (CameraInfo, '{k: [1]}', "field 'k' = [1]: must be a list of 9 entries"),
        (CameraInfo, '{roi: {do_rectify: 1}}', "field 'roi.do_rectify' = 1: must be true or false"),
        (ActionChunk, '{seconds_per_action: 1.0e+39}', 'a number that a float32 can hold'),
        (ActionChunk, f'{{actions: {[0] * 4097}}}', 'a list of at most 4096 entries'),
        (DiagnosticStatus, '{values: [{kye: k}]}', 'field \'values[0].kye\' = "k": KeyValue has key'),
    ],
)
def test_a_value_that_does_not_fit_its_field_is_refused(kind, text, reason):
    with pytest.raises(InputError) as caught:
        filled(kind, text)
    found = 0
    for part in reason.split('.*'):  # in this order
        assert part in str(caught.value)[found:]
        found = str(caught.value).index(part, found) + len(part)


def test_text_names_enumerated_values():
    assert 'durability: 2  # DURABILITY_DURABLE' in as_text(WriteEvent(durability=2)).splitlines()
    assert 'kind: 4  # GO' in as_text(TaskEvent(kind=4)).splitlines()
    lines = as_text(PolicyStatus(policy=2, pending_policy=9)).splitlines()
    assert 'policy: 2  # POLICY_KV' in lines
    assert 'pending_policy: 9' in lines
