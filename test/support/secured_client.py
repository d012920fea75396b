# SPDX-License-Identifier: Apache-2.0
"""A process that tries one operation on the graph and prints the result as JSON.

    python secured_client.py publish joint_command --ros-args --enclave /aura/monitor -r __node:=monitor

The environment and the arguments select the security keys.
"""

import json
import sys
import time

import rclpy
from aura_ros.action import RunEpisode
from aura_ros.msg import PolicyStatus, WriteEvent
from aura_ros.srv import ResetMemory, SaveState, SelectPolicy
from rcl_interfaces.srv import SetParameters
from rclpy._rclpy_pybind11 import RCLError
from rclpy.action import ActionClient
from std_msgs.msg import String
from trajectory_msgs.msg import JointTrajectory

TOPICS = {
    'joint_command': JointTrajectory,
    'aura/write_event': WriteEvent,
    'policy_status': PolicyStatus,
    'instruction': String,
}
SERVICES = {
    'select_policy': SelectPolicy,
    'aura/reset_memory': ResetMemory,
    'aura/save_state': SaveState,
    'policy_switch_node/set_parameters': SetParameters,
}
# Discovery with handshakes takes a few seconds on a busy machine.
TIMEOUT_S = 30.0
# Time limit of an operation that must fail.
SHORT_TIMEOUT_S = 6.0


def spin_until(node, done, seconds):
    """Spin until `done` or for `seconds`; return whether it is done."""
    end = time.monotonic() + seconds
    while not done() and time.monotonic() < end:
        rclpy.spin_once(node, timeout_sec=0.1)
    return bool(done())


def publish(node, topic, seconds):
    """Publish empty messages; return the largest number of matched subscribers."""
    publisher = node.create_publisher(TOPICS[topic], topic, 1)
    end, most = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        publisher.publish(TOPICS[topic]())
        rclpy.spin_once(node, timeout_sec=0.05)
        most = max(most, publisher.get_subscription_count())
    return {'matched': most}


def listen(node, topic, seconds):
    """Wait for a message; return the number of received messages."""
    received = []
    node.create_subscription(TOPICS[topic], topic, received.append, 10)
    spin_until(node, lambda: received, seconds)
    return {'received': len(received)}


def driven(node, topic, seconds):
    """Return whether a policy drives within the time limit."""
    statuses = []
    node.create_subscription(TOPICS[topic], topic, statuses.append, 10)
    return {'driven': spin_until(node, lambda: statuses and not statuses[-1].holding, seconds)}


def call(node, service, seconds):
    """Send an empty request; return whether the service was found and whether it answered."""
    client = node.create_client(SERVICES[service], service)
    ready = spin_until(node, client.service_is_ready, seconds)
    # Send it even if no server was discovered: an undiscovered server may still receive the request.
    answer = client.call_async(SERVICES[service].Request())
    return {'ready': ready, 'answered': spin_until(node, answer.done, seconds)}


def episode(node, _name, seconds):
    """Start an episode, which continues after this process ends."""
    client = ActionClient(node, RunEpisode, 'run_episode')
    spin_until(node, client.server_is_ready, seconds)
    goal = client.send_goal_async(RunEpisode.Goal(instruction='go on'))
    spin_until(node, goal.done, seconds)
    return {'accepted': goal.done() and goal.result().accepted}


def main():
    """Run the operation of the command line and return its result."""
    what, name, *_ = sys.argv[1:]
    seconds = SHORT_TIMEOUT_S if '--short' in sys.argv else TIMEOUT_S
    try:
        rclpy.init(args=sys.argv)
        node = rclpy.create_node('client')
    except RCLError as error:
        return {'outside': str(error)}
    try:
        return globals()[what](node, name, seconds)
    except RCLError as error:
        return {'denied': str(error)}
    finally:
        rclpy.shutdown()


if __name__ == '__main__':
    print(json.dumps(main()))
