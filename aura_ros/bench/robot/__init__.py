# SPDX-License-Identifier: Apache-2.0
"""The records of robot runs: episodes, their figures, tables and pictures."""
