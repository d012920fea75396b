# SPDX-License-Identifier: Apache-2.0
"""Bytes and messages: reading rosbag2 (MCAP, sqlite3) and LeRobot, salvage of damaged files, writing. No ROS."""
