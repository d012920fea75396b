# SPDX-License-Identifier: Apache-2.0
"""Recordings as messages: rosbag2 (MCAP, sqlite3), LeRobot datasets, salvage and the writer. Imports no ROS."""
