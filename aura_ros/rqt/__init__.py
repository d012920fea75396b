# SPDX-License-Identifier: Apache-2.0
"""The live monitor of the memory: in rqt, and as a window of its own."""
