# SPDX-License-Identifier: Apache-2.0
"""The kit every node is built from: lifecycle, parameters, diagnostics, QoS, conversions, entities."""
