# SPDX-License-Identifier: Apache-2.0
"""Results on disk: each finished run at once, so that an interrupted benchmark continues; tables at the end.

FOLDER/NAME.csv, NAME.json, NAME.png   the table, the table with settings and versions, a plot
FOLDER/NAME/runs.jsonl                 one line for each finished run
FOLDER/NAME/weights/KEY.safetensors    trained weights
"""

import csv
import hashlib
import io
import json
import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from aura_ros.common.errors import ConfigError
from aura_ros.common.files import plain, replace_text
from aura_ros.common.provenance import versions

FORMAT = 1


class ResultStore:
    """The runs of one benchmark with one set of settings.

    Runs with other settings stay in the file and are ignored. Quick and full runs, or runs of two versions of a task,
    therefore never mix. Arguments that only add runs, such as the list of seeds, are not settings. Only one process
    may write.

    Args:
        folder: folder of all results, created if missing.
        name: name of the benchmark.
        settings: everything that a run depends on besides its key; may contain dataclasses.
        fresh: delete the stored runs with these settings.

    Raises:
        ConfigError: the folder cannot be written.
    """

    def __init__(self, folder: Path, name: str, settings: Mapping[str, Any], fresh: bool = False) -> None:
        self.folder, self.name, self.settings = folder, name, plain(settings)
        self.digest = hashlib.sha256(json.dumps(self.settings, sort_keys=True).encode()).hexdigest()
        self._runs = folder / name / 'runs.jsonl'
        try:
            (folder / name).mkdir(parents=True, exist_ok=True)
            lines = [json.loads(line) for line in self._whole_lines()]
            if fresh:
                lines = [line for line in lines if line['settings'] != self.digest]
            # This removes incomplete and deleted lines, and reports a read-only folder before the work starts.
            replace_text(self._runs, ''.join(json.dumps(line) + '\n' for line in lines))
        except OSError as error:
            raise ConfigError(
                f'output = {str(folder)!r} cannot be written ({error.strerror}): choose a writable folder with --output'
            ) from error
        self._rows: dict[str, dict[str, Any]] = {
            line['key']: line['row'] for line in lines if line['settings'] == self.digest
        }

    def get(self, key: str) -> dict[str, Any] | None:
        """Return the row of a finished run, or None."""
        return self._rows.get(key)

    def add(self, key: str, row: Mapping[str, Any]) -> dict[str, Any]:
        """Store the row of a run on disk, and return it as `get` does."""
        kept: dict[str, Any] = plain(row)
        with self._runs.open('a', encoding='utf-8') as file:
            file.write(json.dumps({'settings': self.digest, 'key': key, 'row': kept}) + '\n')
            file.flush()
            os.fsync(file.fileno())
        self._rows[key] = kept
        return kept

    def forget(self, key: str) -> None:
        """Let a run be made again, if it was stored; its new row replaces the old one."""
        self._rows.pop(key, None)

    def weights(self, key: str) -> Path:
        """Return the path for the weights of a run; its folder exists."""
        path = self.folder / self.name / 'weights' / f'{key}.safetensors'
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def file(self, suffix: str) -> Path:
        """Return the path of a result file, for example for '.png'."""
        return self.folder / (self.name + suffix)

    def print_files(self, console: Console, *suffixes: str) -> None:
        """Print the paths of written result files."""
        console.print(f'written: {", ".join(str(self.file(suffix)) for suffix in suffixes)}')

    def write(self, rows: Sequence[Mapping[str, Any]], extra: Mapping[str, Any] | None = None) -> None:
        """Write the table as CSV, and as JSON with settings, versions and `extra`.

        Non-finite numbers are empty in the CSV and null in the JSON.
        """
        table = [plain(row) for row in rows]
        self.write_csv('.csv', table)
        found = {
            'format': FORMAT,
            'benchmark': self.name,
            'made': datetime.now(UTC).isoformat(timespec='seconds'),
            'versions': versions('torch', 'safetensors'),
            'settings': self.settings,
            'settings_sha256': self.digest,
            **plain(extra or {}),
            'rows': table,
        }
        replace_text(self.file('.json'), json.dumps(found, indent=1, allow_nan=False) + '\n')

    def write_csv(self, suffix: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write rows as CSV; non-finite numbers are empty."""
        table = [plain(row) for row in rows]
        columns = list(dict.fromkeys(name for row in table for name in row))
        text = io.StringIO(newline='')
        writer = csv.DictWriter(text, columns, lineterminator='\n')
        writer.writeheader()
        for row in table:
            writer.writerow(
                {name: json.dumps(value) if isinstance(value, list | dict) else value for name, value in row.items()}
            )
        replace_text(self.file(suffix), text.getvalue())

    def _whole_lines(self) -> list[str]:
        """Return the complete lines; a killed process can leave an incomplete last one."""
        text = self._runs.read_text(encoding='utf-8') if self._runs.exists() else ''
        return text[: text.rfind('\n') + 1].splitlines()
