# SPDX-License-Identifier: Apache-2.0
"""ROS 2 names of the message types that are read by field."""

IMAGE = 'sensor_msgs/msg/Image'
COMPRESSED_IMAGE = 'sensor_msgs/msg/CompressedImage'
CAMERA_TYPES = (IMAGE, COMPRESSED_IMAGE)
JOINT_STATE = 'sensor_msgs/msg/JointState'
POSE = 'geometry_msgs/msg/PoseStamped'
STRING = 'std_msgs/msg/String'
VLA_STEP = 'aura_ros/msg/VlaStep'
WRITE_EVENT = 'aura_ros/msg/WriteEvent'
POLICY_STATUS = 'aura_ros/msg/PolicyStatus'
