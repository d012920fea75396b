# SPDX-License-Identifier: Apache-2.0
"""`aura demo`: the demonstration with one command."""
