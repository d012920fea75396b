# SPDX-License-Identifier: Apache-2.0
"""From evaluated memories to the report: intervals, summary, charts and files."""
