# SPDX-License-Identifier: Apache-2.0
"""The views of the monitor. Each shows one query of the model and repaints only what has changed."""
