# SPDX-License-Identifier: Apache-2.0
"""player: plays a recording to the real nodes."""
