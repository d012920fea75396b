# SPDX-License-Identifier: Apache-2.0
"""The views of the monitor: each shows one answer of the model, paints only what has changed, and asks nobody."""
