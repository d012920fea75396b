# SPDX-License-Identifier: Apache-2.0
"""`aura serve`: a policy server for any backbone."""
