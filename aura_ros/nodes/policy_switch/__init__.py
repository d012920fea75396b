# SPDX-License-Identifier: Apache-2.0
"""policy_switch_node: selects which policy drives and guards every command."""
