# SPDX-License-Identifier: Apache-2.0
"""aura soak: runs the whole graph for a long time."""
