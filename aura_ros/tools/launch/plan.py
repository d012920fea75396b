# SPDX-License-Identifier: Apache-2.0
"""The processes of a launch file with given arguments, and their command lines."""

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
    """A declared launch argument."""

    name: str
    default: str | None
    """None for a required argument."""
    description: str
    choices: tuple[str, ...]
    """Allowed values; empty allows every value."""
    file: Path
    """File that declares it."""


@dataclass(frozen=True)
class Parameters:
    """One `param` entry with name and value; the node receives it as a parameter file."""

    content: Mapping[str, Any]

    def text(self) -> str:
        """Return the text of the file, identical to that of ROS launch."""
        return str(yaml.dump(dict(self.content), default_flow_style=False))

    def write(self) -> str:
        """Write a new temporary file and return its path; the caller removes it."""
        with tempfile.NamedTemporaryFile('w', prefix='launch_params_', delete=False, encoding='utf-8') as file:
            file.write(self.text())
        return file.name


@dataclass(frozen=True)
class NodeProcess:
    """One `node` action."""

    label: str
    """Name in the output, such as sim_node-1."""
    package: str
    executable: str
    arguments: tuple[str | Parameters, ...]
    """Words after the executable; a `Parameters` stands for the path of its file."""
    environment: Mapping[str, str]
    """Variables to add to the environment."""
    shutdown_on_exit: bool
    """Whether the end of the node ends the launch."""
    respawn: bool
    respawn_delay_s: float
    """Time between the end and the next start [s]."""
    where: str
    """File and line of the action."""

    def program(self) -> str:
        """Return the path of the executable, lib/<package>/<executable> under the package's prefix.

        Raises:
            ConfigError: the package or the executable is not installed.
        """
        try:
            folder = Path(get_package_prefix(self.package)) / 'lib' / self.package
        except (PackageNotFoundError, OSError, ValueError) as error:
            searched = f'AMENT_PREFIX_PATH={os.environ.get("AMENT_PREFIX_PATH", "")}'
            raise ConfigError(f"{self.where}: package '{self.package}' not found under {searched}") from error
        path = folder / self.executable
        if not (path.is_file() and os.access(path, os.X_OK)):
            there = sorted(item.name for item in folder.iterdir()) if folder.is_dir() else []
            raise ConfigError(
                f"{self.where}: '{self.executable}' is not an executable of package '{self.package}'; "
                f'available in {folder}: {", ".join(there) or "none"}'
            )
        return str(path)

    def command(self) -> tuple[list[str], list[str]]:
        """Write the parameter files, and return the command line and the files."""
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
        """Return the command line as text, with parameters in braces in place of temporary files."""
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
    """Everything that one launch file starts. The timeouts have the defaults of ROS launch."""

    nodes: list[NodeProcess] = field(default_factory=list)
    arguments: dict[str, Argument] = field(default_factory=dict)
    sigterm_timeout_s: float = 5.0
    """Time from SIGINT to SIGTERM [s]."""
    sigkill_timeout_s: float = 5.0
    """Time from SIGTERM to SIGKILL [s]."""
