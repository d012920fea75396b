# SPDX-License-Identifier: Apache-2.0
"""Code that every room may use: errors, names, console, programs, files. It imports no other room."""
