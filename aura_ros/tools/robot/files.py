# SPDX-License-Identifier: Apache-2.0
"""The robot files of the package: presets."""

import difflib
from pathlib import Path

from aura_ros.common.errors import ConfigError
from aura_ros.ros.share import PACKAGE, share_folder


def presets() -> dict[str, Path]:
    """Return the robot files of the package by name."""
    folder = share_folder(PACKAGE, 'config') / 'robots'
    return {path.stem: path for path in sorted(folder.glob('*.yaml'))}


def preset(name: str) -> Path:
    """Return the robot file of a preset.

    Raises:
        ConfigError: there is no such preset; the text lists them.
    """
    found = presets()
    if name in found:
        return found[name]
    near = difflib.get_close_matches(name, found, n=1)
    hint = f'; did you mean {near[0]}?' if near else '.'
    raise ConfigError(f'no preset {name!r}{hint} The presets are {", ".join(found)}')


def summary(path: Path) -> str:
    """Return the first comment line of a robot file."""
    return path.read_text(encoding='utf-8').partition('\n')[0].lstrip('# ')
