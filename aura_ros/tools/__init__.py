# SPDX-License-Identifier: Apache-2.0
"""Programs for people: launch runner, panel, soak, topics, robot files."""
