# SPDX-License-Identifier: Apache-2.0
"""Adapters of families of VLAs. Each needs packages of its own, so a module is imported only when it is named."""
