# SPDX-License-Identifier: Apache-2.0
"""What all tests share: property tests judge results, not how busy the machine is."""

from hypothesis import settings

settings.register_profile('aura', deadline=None)
settings.load_profile('aura')
