# SPDX-License-Identifier: Apache-2.0
"""`aura panel`: compare all policies."""
