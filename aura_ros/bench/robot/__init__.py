# SPDX-License-Identifier: Apache-2.0
"""Records of robot runs: episodes, their numbers, tables and plots."""
