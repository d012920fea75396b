# SPDX-License-Identifier: Apache-2.0
"""What all nodes are built from: lifecycle, parameters, diagnostics, QoS, conversions, entities."""
