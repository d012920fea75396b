# SPDX-License-Identifier: Apache-2.0
"""`aura topics`: topics, services and actions without the `ros2` command."""
