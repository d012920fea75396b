# SPDX-License-Identifier: Apache-2.0
"""Benchmarks: the tables of the papers, speed, and the records of robot runs (no ROS)."""
