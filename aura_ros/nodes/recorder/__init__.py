# SPDX-License-Identifier: Apache-2.0
"""recorder: the graph into a rosbag2 recording."""
