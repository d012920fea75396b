# SPDX-License-Identifier: Apache-2.0
"""The back end for ROS launch: its LaunchService, with a better exit code.

`ros2 launch` returns 0 even if the node that ended the launch failed; `aura launch` returns the code of that node.
"""

import signal
from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from aura_ros.common.program import stop_signals


def available() -> bool:
    """Return whether launch, its YAML front end and launch_ros are installed."""
    return all(find_spec(name) is not None for name in ('launch', 'launch_yaml', 'launch_ros'))


class _ExitCode:
    """Follows the events of a launch; `value` is the exit code of the program afterwards."""

    def __init__(self) -> None:
        self._failed = False
        self._code: int | None = None
        self._shutdown_action: type = import_module('launch.actions').Shutdown

    @property
    def value(self) -> int:
        return int(self._failed) if self._code is None else self._code

    def on_exit(self, event: Any, context: Any) -> None:
        if self._code is not None or context.is_shutdown:
            return
        code: int = event.returncode
        self._failed = self._failed or code != 0
        following = event.action.get_sub_entities()
        if any(isinstance(action, self._shutdown_action) for action in following):
            self._code = code if code >= 0 else 128 - code

    def on_shutdown(self, event: Any, context: Any) -> None:
        if self._code is None and event.due_to_sigint:
            self._code = 130


def description(path: Path, given: Mapping[str, str]) -> Any:
    """Return a LaunchDescription that includes the file with the given arguments."""
    actions = import_module('launch.actions')
    sources = import_module('launch.launch_description_sources')
    source = sources.AnyLaunchDescriptionSource(str(path))
    include = actions.IncludeLaunchDescription(source, launch_arguments=list(given.items()))
    return import_module('launch').LaunchDescription([include])


def run(path: Path, given: Mapping[str, str]) -> int:
    """Run a launch file of any kind until it ends, and return the exit code of the program."""
    launch, actions = import_module('launch'), import_module('launch.actions')
    handlers = import_module('launch.event_handlers')
    code = _ExitCode()
    following = [
        actions.RegisterEventHandler(handlers.OnProcessExit(on_exit=code.on_exit)),
        actions.RegisterEventHandler(handlers.OnShutdown(on_shutdown=code.on_shutdown)),
    ]
    if signal.SIGHUP in stop_signals():
        # ROS launch handles the first SIGINT as a stop and ignores all others; SIGHUP would kill it.
        signal.signal(signal.SIGHUP, lambda *_: signal.raise_signal(signal.SIGINT))
    service = launch.LaunchService(noninteractive=True)
    service.include_launch_description(launch.LaunchDescription(following))
    service.include_launch_description(description(path, given))
    return int(service.run()) or code.value
