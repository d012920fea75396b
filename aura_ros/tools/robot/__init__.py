# SPDX-License-Identifier: Apache-2.0
"""`aura robot`: write a robot file from a URDF or a preset, and check one."""
