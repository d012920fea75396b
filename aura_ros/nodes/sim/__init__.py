# SPDX-License-Identifier: Apache-2.0
"""sim_node: the embedded robot as a node."""
