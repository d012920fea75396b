# SPDX-License-Identifier: Apache-2.0
"""vla_node: the frozen backbone as a node."""
