# SPDX-License-Identifier: Apache-2.0
"""Start the graphs of launch/*.launch.yaml: by ROS launch, or without it where there is none."""
