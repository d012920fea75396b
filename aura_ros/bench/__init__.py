# SPDX-License-Identifier: Apache-2.0
"""Runs put into numbers: success with its interval, writes, state size, step time (no ROS)."""
