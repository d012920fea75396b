# SPDX-License-Identifier: Apache-2.0
"""Metadata of a rosbag2 recording: metadata.yaml, or the copy in the storage file."""

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mcap.reader import make_reader

from aura_ros.common.errors import ConfigError
from aura_ros.common.text import printable
from aura_ros.common.text_files import read_text, reason
from aura_ros.common.yaml_lines import parse_yaml
from aura_ros.recordings.old_names import current_notes
from aura_ros.recordings.sqlite_limits import open_database
from aura_ros.recordings.types import WARNINGS
from aura_ros.recordings.writer import NOTES

MOST_WARNINGS = 20
"""Warnings of a recorder that are shown [1]."""
_KEY = 'rosbag2_bagfile_information'


@dataclass(frozen=True)
class BagMetadata:
    """What is known without reading a message."""

    custom: Mapping[str, str] = field(default_factory=dict)
    """Notes of the recorder, by today's keys."""
    distribution: str = ''
    """Name of the ROS 2 distribution, for example 'jazzy'; '' if unknown."""
    files: tuple[Path, ...] = ()
    """Storage files in order; () if unknown."""


def recorder_warnings(metadata: Mapping[str, str]) -> tuple[str, ...]:
    """Return what the recorder reported as missing from a recording, in sentences, at most MOST_WARNINGS."""
    try:
        found = parse_yaml(metadata.get(WARNINGS, ''), WARNINGS)
    except ConfigError:
        return ()
    texts = found if isinstance(found, list) else ()
    return tuple(f'the recorder reported: {printable(text)}' for text in texts[:MOST_WARNINGS] if isinstance(text, str))


def read_metadata(path: Path, lost: list[str]) -> BagMetadata:
    """Read the metadata of a bag; what is missing or damaged is added to `lost`."""
    if not path.is_dir():
        return _parsed(_inside(path), path.parent, [], False)
    file, notes = path / 'metadata.yaml', _notes(path)
    if not file.exists():
        lost.append('metadata.yaml is missing, as after a crash of the recorder; the files were read without it')
        return BagMetadata(notes)
    try:
        text = read_text(file)
    except ConfigError as error:
        lost.append(f'{error}; the files were read without it')
        return BagMetadata(notes)
    return _parsed(text, path, lost, True)


def _parsed(text: str, folder: Path, lost: list[str], with_files: bool) -> BagMetadata:
    try:
        data: Any = parse_yaml(text, 'metadata.yaml') or {}
        facts = data.get(_KEY, data)
        names = [Path(str(name)).name for name in facts.get('relative_file_paths') or ()] if with_files else []
        custom = current_notes({str(key): str(value) for key, value in (facts.get('custom_data') or {}).items()})
        distribution = str(facts.get('ros_distro') or '')
        missing = [name for name in names if not (folder / name).is_file()]
    except ConfigError as error:
        lost.append(f'{error}; the files were read without it')
        return BagMetadata()
    except Exception as error:  # noqa: BLE001  # any value can stand where the format has a name or a mapping
        lost.append(f'metadata.yaml cannot be used ({reason(error)}); the files were read without it')
        return BagMetadata()
    if missing:
        lost.append(f'{len(missing)} of {len(names)} storage files missing: {", ".join(missing)}')
    return BagMetadata(custom, distribution, tuple(folder / name for name in names if name not in missing))


def _inside(path: Path) -> str:
    """The copy of metadata.yaml in a storage file, or ''."""
    try:
        if path.suffix == '.mcap':
            with path.open('rb') as file:
                records = [record.metadata for record in make_reader(file).iter_metadata() if record.name == 'rosbag2']
                return records[-1].get('serialized_metadata', '') if records else ''
        if path.suffix == '.db3':
            with closing(open_database(path)) as base:
                row = base.execute('SELECT metadata FROM metadata ORDER BY id DESC LIMIT 1').fetchone()
                return str(row[0]) if row else ''
    except Exception:  # noqa: BLE001  # the readers can raise anything on damaged bytes
        # The file is cut off, damaged or older than these copies. Reading its messages reports that.
        return ''
    return ''


def _notes(path: Path) -> dict[str, Any]:
    try:
        found = parse_yaml(read_text(path / NOTES), NOTES)
    except ConfigError:
        return {}
    return current_notes({str(key): str(value) for key, value in found.items()}) if isinstance(found, dict) else {}
