# SPDX-License-Identifier: Apache-2.0
"""memory_node: the gated memory as a node."""
