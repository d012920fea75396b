# SPDX-License-Identifier: Apache-2.0
"""Where the files of a package are: launch files, parameters."""

import os
from pathlib import Path

from ament_index_python.packages import PackageNotFoundError, get_package_share_directory

from aura_ros.common.errors import ConfigError

PACKAGE = 'aura_ros'


def share_folder(package: str, name: str) -> Path:
    """Return the folder share/<package>/<name>, such as `launch` or `config`.

    An editable install of aura_ros uses the folder of the source tree, so that edits take effect at once.

    Raises:
        ConfigError: there is no such package.
    """
    source = Path(__file__).absolute().parents[2]
    if package == PACKAGE and (source / 'package.xml').is_file():
        return source / name
    try:
        return Path(get_package_share_directory(package)) / name
    except (PackageNotFoundError, OSError, ValueError) as error:
        where = os.environ.get('AMENT_PREFIX_PATH', '')
        raise ConfigError(f"package '{package}' not found under AMENT_PREFIX_PATH={where}") from error
