# SPDX-License-Identifier: Apache-2.0
"""`aura soak`: run the whole graph for a long time."""
