# SPDX-License-Identifier: Apache-2.0
"""The panel: runs the comparison of all policies."""
