# SPDX-License-Identifier: Apache-2.0
"""Two robots that the package does not know: their drivers, as programs, and a frozen VLA for each.

    python own_robots.py arm       six joints and a gripper on topics of their own, three cameras
    python own_robots.py twist     an arm behind a Cartesian velocity controller, one camera

The drivers publish what such robots publish, and follow the commands at once. A lamp changes its colour every second.
"""

import sys
from contextlib import suppress
from dataclasses import dataclass, replace

import cv2
import numpy as np
import rclpy
from geometry_msgs.msg import TwistStamped
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import CompressedImage, Image, JointState
from std_msgs.msg import Float64MultiArray
from trajectory_msgs.msg import JointTrajectory

from aura_ros.vla.protocol import BackboneSpec, Observation, VlaOutput

ARM = tuple(f'a{number}' for number in range(1, 7))
GRIPPER, OPEN_M = 'finger', 0.08
SIZE = (24, 32)
CHUNK, FEATURES, PERIOD_S = 8, 24, 0.05
_HZ, _CAMERA_HZ = 50.0, 10.0
_COLOURS = ((220, 30, 30), (30, 200, 40), (40, 50, 230))


class Driver(Node):
    """Joints at 50 Hz and cameras at 10 Hz."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.arm = np.zeros(6)
        self.ticks = 0
        self.create_timer(1 / _HZ, self.publish_joints)
        self.create_timer(1 / _CAMERA_HZ, self.publish_cameras)

    def joints(self, publisher, names, positions):
        """Publish some joints [rad, m]."""
        message = JointState(name=list(names), position=[float(value) for value in positions])
        message.header.stamp = self.get_clock().now().to_msg()
        publisher.publish(message)

    def picture(self, shift: int) -> np.ndarray:
        """Return the scene as RGB, uint8 [24, 32, 3]: a lamp before a grey wall."""
        pixels = np.full((*SIZE, 3), 90, np.uint8)
        pixels[6:18, 4 + shift : 16 + shift] = _COLOURS[self.ticks // int(_CAMERA_HZ) % len(_COLOURS)]
        return pixels

    def stamped(self, message, frame):
        """Return the message with the time of now."""
        message.header.stamp = self.get_clock().now().to_msg()
        message.header.frame_id = frame
        return message

    def raw(self, pixels: np.ndarray, encoding: str) -> Image:
        """Return an Image."""
        height, width = pixels.shape[:2]
        step = pixels[0].size
        message = Image(height=height, width=width, encoding=encoding, step=step, data=pixels.tobytes())
        return self.stamped(message, encoding)


class SixJoints(Driver):
    """Arm and gripper on topics of their own; cameras in RGB, JPEG and Bayer."""

    def __init__(self) -> None:
        super().__init__('six_joints')
        self.finger_m = OPEN_M
        self.arm_out = self.create_publisher(JointState, '/arm/joint_states', qos_profile_sensor_data)
        self.finger_out = self.create_publisher(JointState, '/gripper/joint_states', 10)
        self.front = self.create_publisher(Image, '/cam0/image_raw', qos_profile_sensor_data)
        self.side = self.create_publisher(CompressedImage, '/cam1/image_raw/compressed', qos_profile_sensor_data)
        self.top = self.create_publisher(Image, '/cam2/image_raw', 10)
        self.create_subscription(JointTrajectory, '/arm_controller/joint_trajectory', self.on_arm, 10)
        self.create_subscription(Float64MultiArray, '/gripper_controller/commands', self.on_finger, 10)

    def on_arm(self, message: JointTrajectory) -> None:
        """Move the arm."""
        assert tuple(message.joint_names) == ARM
        self.arm = np.array(message.points[-1].positions)

    def on_finger(self, message: Float64MultiArray) -> None:
        """Move the finger [m]."""
        (self.finger_m,) = message.data

    def publish_joints(self) -> None:
        """Publish arm and finger."""
        self.joints(self.arm_out, ARM, self.arm)
        self.joints(self.finger_out, [GRIPPER], [self.finger_m])

    def publish_cameras(self) -> None:
        """Publish three pictures."""
        self.ticks += 1
        self.front.publish(self.raw(self.picture(0), 'rgb8'))
        data = cv2.imencode('.jpg', self.picture(4)[..., ::-1])[1].tobytes()
        self.side.publish(self.stamped(CompressedImage(format='jpeg', data=data), 'side'))
        pixels, mosaic = self.picture(8), np.empty(SIZE, np.uint8)
        mosaic[::2, ::2], mosaic[1::2, 1::2] = pixels[::2, ::2, 0], pixels[1::2, 1::2, 2]
        mosaic[::2, 1::2], mosaic[1::2, ::2] = pixels[::2, 1::2, 1], pixels[1::2, ::2, 1]
        self.top.publish(self.raw(mosaic, 'bayer_rggb8'))


class CartesianVelocity(Driver):
    """Joints that a servo moves, and a command of six velocities."""

    def __init__(self) -> None:
        super().__init__('cartesian_velocity')
        self.out = self.create_publisher(JointState, '/joint_states', 10)
        self.camera = self.create_publisher(Image, '/wrist_cam/image', qos_profile_sensor_data)
        self.twist = np.zeros(6)
        self.create_subscription(TwistStamped, '/servo_node/delta_twist_cmds', self.on_twist, 10)

    def on_twist(self, message: TwistStamped) -> None:
        """Take the velocities [m/s, rad/s]."""
        linear, angular = message.twist.linear, message.twist.angular
        self.twist = np.array([linear.x, linear.y, linear.z, angular.x, angular.y, angular.z])

    def publish_joints(self) -> None:
        """Integrate and publish the joints."""
        self.arm = self.arm + self.twist / _HZ
        self.joints(self.out, ARM, self.arm)

    def publish_cameras(self) -> None:
        """Publish the picture of the wrist."""
        self.ticks += 1
        self.camera.publish(self.raw(self.picture(0)[..., ::-1].copy(), 'bgr8'))


@dataclass(frozen=True)
class LampVla:
    """A backbone that sees the colour of the lamp in every camera and moves by it."""

    spec: BackboneSpec
    scale: float
    """Largest action [rad, m/s]."""

    def infer(self, observation: Observation) -> VlaOutput:
        """Return mean colours as features, and one action for the whole chunk."""
        spec = self.spec
        assert set(observation.images) == set(spec.cameras)
        assert observation.joint_positions.shape == (len(spec.joint_names),)
        assert np.isfinite(observation.joint_positions).all()
        means = [cv2.resize(observation.images[name], (2, 1)).reshape(-1) / 255.0 for name in spec.cameras]
        seen = np.concatenate(means)
        features = np.resize(np.concatenate([seen, np.tanh(observation.joint_positions)]), FEATURES)
        red, green, blue = observation.images[spec.cameras[0]].reshape(-1, 3).mean(axis=0) / 255.0
        action = np.full(spec.action_dim, self.scale * (red - blue))
        if spec.action_dim == 7:
            action[6] = float(green > red)  # the gripper: 1 is open
        return VlaOutput(features.astype(np.float32), np.tile(action, (CHUNK, 1)).astype(np.float32))


_SPEC = BackboneSpec(
    name='six joints',
    cameras=('front', 'side', 'top'),
    image_size=SIZE,
    joint_names=(*ARM, GRIPPER),
    feature_dim=FEATURES,
    chunk_size=CHUNK,
    action_dim=7,
    n_action_steps=4,
    seconds_per_action=PERIOD_S,
    backbone_hash='a6' * 32,
)


def arm_vla(path: str | None = None) -> LampVla:
    """Return the backbone 'own_robots:arm_vla'."""
    return LampVla(_SPEC, 0.6)


def twist_vla(path: str | None = None) -> LampVla:
    """Return the backbone 'own_robots:twist_vla'."""
    spec = replace(_SPEC, name='twist', cameras=('wrist',), joint_names=ARM, action_dim=6, backbone_hash='7f' * 32)
    return LampVla(spec, 0.1)


def main() -> int:
    """Run a driver until Ctrl-C."""
    # Python itself raises KeyboardInterrupt. With the handler of rclpy, a driver was seen not to end after Ctrl-C.
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    node = {'arm': SixJoints, 'twist': CartesianVelocity}[sys.argv[1]]()
    with suppress(KeyboardInterrupt):
        rclpy.spin(node)
    node.destroy_node()
    rclpy.shutdown()
    return 0


if __name__ == '__main__':
    sys.exit(main())
