# SPDX-License-Identifier: Apache-2.0
"""recorder: records the graph to a rosbag2 bag."""
