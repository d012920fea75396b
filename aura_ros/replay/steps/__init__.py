# SPDX-License-Identifier: Apache-2.0
"""From a recording to the steps of a backbone: mapping, alignment, cache."""
