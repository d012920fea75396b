# SPDX-License-Identifier: Apache-2.0
"""What a launch file asks for once its arguments are known: processes and command lines."""

from __future__ import annotations

import os
import shlex
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from ament_index_python.packages import PackageNotFoundError, get_package_prefix

from aura_ros.common.errors import ConfigError


@dataclass(frozen=True)
class Argument:
    """A declared launch argument; `default` is None where one has to be given."""

    name: str
    default: str | None
    description: str
    choices: tuple[str, ...]
    file: Path


@dataclass(frozen=True)
class Parameters:
    """One `param` entry with name and value: it reaches the node through a file of its own."""

    content: Mapping[str, Any]

    def text(self) -> str:
        """Return the file's text, the same that the real launch writes."""
        return str(yaml.dump(dict(self.content), default_flow_style=False))

    def write(self) -> str:
        """Write a new temporary file and return its path; whoever starts the node removes it."""
        with tempfile.NamedTemporaryFile('w', prefix='launch_params_', delete=False, encoding='utf-8') as file:
            file.write(self.text())
        return file.name


@dataclass(frozen=True)
class NodeProcess:
    """One `node` action.

    `arguments` is what follows the executable; a `Parameters` stands for the path of its file.
    """

    label: str
    package: str
    executable: str
    arguments: tuple[str | Parameters, ...]
    environment: Mapping[str, str]
    shutdown_on_exit: bool
    respawn: bool
    respawn_delay_s: float
    where: str

    def program(self) -> str:
        """Return the path of the executable, lib/<package>/<executable> under the package's prefix.

        Raises:
            ConfigError: the package or the executable is not installed.
        """
        try:
            folder = Path(get_package_prefix(self.package)) / 'lib' / self.package
        except (PackageNotFoundError, OSError, ValueError) as error:
            looked = os.environ.get('AMENT_PREFIX_PATH', '')
            raise ConfigError(f"{self.where}: package '{self.package}' not found under '{looked}'") from error
        path = folder / self.executable
        if not (path.is_file() and os.access(path, os.X_OK)):
            there = sorted(item.name for item in folder.iterdir()) if folder.is_dir() else []
            raise ConfigError(
                f"{self.where}: '{self.executable}' is no executable of package '{self.package}'; "
                f'in {folder}: {", ".join(there) or "none"}'
            )
        return str(path)

    def command(self) -> tuple[list[str], list[str]]:
        """Write the parameter files; return the command line and the files written."""
        written: list[str] = []
        line = [self.program()]
        for argument in self.arguments:
            if isinstance(argument, Parameters):
                written.append(argument.write())
                line.append(written[-1])
            else:
                line.append(argument)
        return line, written

    def shown(self) -> str:
        """Return the command line for people: parameters in braces instead of temporary files."""
        words = [self.program()]
        for argument in self.arguments:
            words.append(
                yaml.dump(dict(argument.content), default_flow_style=True, width=4096).strip()
                if isinstance(argument, Parameters)
                else argument
            )
        return shlex.join(words)


@dataclass
class Plan:
    """All that one launch file asks for.

    The timeouts [s] are those of ROS launch: from SIGINT to SIGTERM, and from there to SIGKILL.
    """

    nodes: list[NodeProcess] = field(default_factory=list)
    arguments: dict[str, Argument] = field(default_factory=dict)
    sigterm_timeout_s: float = 5.0
    sigkill_timeout_s: float = 5.0
