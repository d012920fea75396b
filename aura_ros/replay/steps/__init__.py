# SPDX-License-Identifier: Apache-2.0
"""Recordings as steps of a backbone: mapping, alignment and cache."""
