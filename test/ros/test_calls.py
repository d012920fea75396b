# SPDX-License-Identifier: Apache-2.0
"""A service call that is polled: it waits for the service, and sends a call without a response once more."""

from rclpy.task import Future

from aura_ros.ros.calls import ServiceCall


class Client:
    """A service client of which the test controls the service."""

    def __init__(self):
        self.ready, self.futures, self.removed = False, [], []

    def service_is_ready(self):
        return self.ready

    def call_async(self, request):
        self.futures.append(Future())
        return self.futures[-1]

    def remove_pending_request(self, future):
        self.removed.append(future)


def test_a_call_is_sent_when_the_service_is_available():
    client = Client()
    call = ServiceCall(client, 'request')
    assert not call.poll() and not call.sent and client.futures == []
    client.ready = True
    assert not call.poll() and call.sent
    client.futures[0].set_result('response')
    assert call.poll() and call.response == 'response'


def test_a_call_without_a_response_is_sent_once_more():
    client = Client()
    client.ready = True
    call = ServiceCall(client, 'request', resend_s=0.0)
    for _ in range(5):
        assert not call.poll()
    assert client.removed == client.futures[:1] and len(client.futures) == 2
    client.futures[1].set_result('response')
    assert call.poll() and call.response == 'response'
