# SPDX-License-Identifier: Apache-2.0
"""player: a recording through the real nodes."""
