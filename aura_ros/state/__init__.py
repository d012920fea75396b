# SPDX-License-Identifier: Apache-2.0
"""The durable state file: format, store, writer, wear and its command line. Imports no ROS."""
