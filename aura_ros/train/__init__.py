# SPDX-License-Identifier: Apache-2.0
"""Demonstrations to a backbone, and features to a memory. Training needs torch."""
