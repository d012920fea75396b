# SPDX-License-Identifier: Apache-2.0
"""Load a factory that a user names as module:attribute."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

from aura_ros.common.errors import ConfigError


def load_factory(name: str) -> Callable[..., Any]:
    """Import `module:attribute` and return the attribute.

    Raises:
        ConfigError: the module or the attribute is missing, or is not callable.
    """
    module, _, attribute = name.partition(':')
    try:
        factory = getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f'{name!r} cannot be loaded as module:attribute: {error}') from error
    if not callable(factory):
        raise ConfigError(f'{name!r} is not callable; name a class or a function')
    return factory  # type: ignore[no-any-return]
