# SPDX-License-Identifier: Apache-2.0
"""Recordings replayed through every memory: the same frames, one report (no ROS, no torch)."""
