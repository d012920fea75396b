# SPDX-License-Identifier: Apache-2.0
"""Run launch files with ROS launch, or with a reader of our own where ROS launch is not installed.

The reader exists because no package registry offers ROS launch: the wheels of rclpy come without it. It reads the
part of .launch.yaml that aura_ros uses, and starts the same command lines as ROS launch.
"""
