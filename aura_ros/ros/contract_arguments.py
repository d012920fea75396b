# SPDX-License-Identifier: Apache-2.0
"""Rosetta contracts among the parameter files on the command line of a node."""

import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from aura_ros.common.text_files import read_text
from aura_ros.control.robot_file import from_contract

_OPTION = '--params-file'


@contextmanager
def without_contracts(args: Sequence[str] | None) -> Iterator[list[str]]:
    """Yield the arguments with each contract replaced by its robot file, which is removed afterwards.

    Every parameter of the contract is then a parameter of the node: it can be shown, and it is recorded.

    Args:
        args: arguments of a node; None for those of the process.

    Raises:
        ConfigError: a contract is unusable; the text names the value.
    """
    found = list(sys.argv if args is None else args)
    with tempfile.TemporaryDirectory(prefix='robot_file_') as folder:
        for place in (index + 1 for index, word in enumerate(found[:-1]) if word == _OPTION):
            path = Path(found[place])
            # A file that cannot be read gets its error from ROS.
            text = from_contract(read_text(path), str(path)) if path.is_file() else None
            if text is not None:
                made = Path(folder) / f'{place}.yaml'
                made.write_text(text, encoding='utf-8')
                found[place] = str(made)
        yield found
