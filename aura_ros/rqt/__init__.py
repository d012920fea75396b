# SPDX-License-Identifier: Apache-2.0
"""The live monitor of the memory, as an rqt plugin and as a window of its own."""
