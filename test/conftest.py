# SPDX-License-Identifier: Apache-2.0
"""What all tests share: property tests judge results, not how busy the machine is; pictures need no display."""

import os

from hypothesis import settings

pytest_plugins = ['fault_matrix']  # in test/support, which pyproject.toml puts on the path

os.environ.setdefault('MUJOCO_GL', 'egl')
settings.register_profile('aura', deadline=None)
settings.load_profile('aura')
