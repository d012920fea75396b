# SPDX-License-Identifier: Apache-2.0
"""What all tests share: property tests judge results, not how busy the machine is; pictures need no display."""

import os
import signal

from hypothesis import settings

pytest_plugins = ['fault_matrix', 'quiet', 'hang']  # in test/support, which pyproject.toml puts on the path

# A shell that starts the tests in the background ignores Ctrl-C for them, and so would all that they start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
os.environ.setdefault('MUJOCO_GL', 'egl')
settings.register_profile('aura', deadline=None)
settings.load_profile('aura')
