# SPDX-License-Identifier: Apache-2.0
"""The ROS 2 nodes: thin shells around the cores, one executable each."""
