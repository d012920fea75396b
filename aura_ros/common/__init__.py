# SPDX-License-Identifier: Apache-2.0
"""What every room may use: errors, loading, names, console, files. Imports nothing of ours."""
