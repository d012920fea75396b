# SPDX-License-Identifier: Apache-2.0
"""The files of a report.

    report.html     page for people, in one file
    report.json     all figures, writes and settings
    steps.parquet   one row for each step and policy; steps.csv if pyarrow is not installed

Columns of the steps: recording, policy, episode_id, seq, stamp_ns, applied, gate, threshold, written, surprise,
state_bytes, step_us, error (mean over joints [rad, m]), and for each joint error.NAME, action.NAME, recorded.NAME.
Values are missing if a step was not applied or nothing was recorded.
"""

import csv
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from aura_ros.common.errors import ConfigError
from aura_ros.common.files import plain, replace_text
from aura_ros.replay.evaluate import PolicyRun
from aura_ros.replay.evaluated import Evaluated
from aura_ros.replay.report.html import page
from aura_ros.replay.report.summary import Report, Summary
from aura_ros.replay.report.verdict import gain_texts, verdict

FORMAT = 1
_ROWS = 8192
_VALUES = ('gate', 'threshold', 'written', 'surprise', 'state_bytes', 'step_us')


def write_report(report: Report, folder: Path) -> list[Path]:
    """Write all files into a folder, which is created if needed, and return their paths, the page first.

    Raises:
        ConfigError: the folder is not writable or contains a recording.
    """
    check_output(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        paths = [folder / 'report.html', folder / 'report.json']
        replace_text(paths[0], page(report))
        replace_text(paths[1], json.dumps(plain(as_json(report)), indent=1, allow_nan=False) + '\n')
        return [*paths, _write_steps(report, folder)]
    except OSError as error:
        raise ConfigError(
            f'--output {folder}: cannot be written ({error.strerror}); give a folder that you can write to'
        ) from error


def check_output(folder: Path) -> None:
    """Check that a folder contains no recording, because the report would become a part of it.

    Raises:
        ConfigError: the folder contains a recording.
    """
    files = ('metadata.yaml', '*.mcap', '*.db3', '*.mcap.zstd', '*.db3.zstd', 'meta/info.json')
    if any(path for pattern in files for path in folder.glob(pattern)):
        raise ConfigError(f'--output {folder}: the folder contains a recording; give another folder')


def as_json(report: Report) -> dict[str, Any]:
    """Return the report as JSON types."""
    return {
        'format': FORMAT,
        'made': report.made,
        'command': report.command,
        'versions': report.versions,
        'left_out': report.left_out,
        'refused': report.refused,
        'verdict': verdict(report.pooled),
        'gains': gain_texts(report.pooled),
        'summary': asdict(report.pooled),
        'recordings': [
            _recording(found, single) for found, single in zip(report.recordings, report.single, strict=True)
        ],
    }


def _recording(found: Evaluated, summary: Summary) -> dict[str, Any]:
    return {
        **asdict(found.about),
        'backbone_hash': found.steps.info.backbone_hash,
        'steps': len(found.steps),
        'begin_ns': int(found.steps.stamps_ns[0]),
        'end_ns': int(found.steps.stamps_ns[-1]),
        'verdict': verdict(summary),
        'summary': asdict(summary),
        'policies': {name: _run(run) for name, run in found.runs.items()},
    }


def _run(run: PolicyRun) -> dict[str, Any]:
    # The writes of a policy without a learned gate are in the table of steps.
    return {
        'state_crc32': run.state_crc32,
        'missed': run.missed,
        'refused': run.refused,
        'problems': list(run.problems),
        'writes': [asdict(write) for write in run.writes] if run.policy.gated else None,
    }


def _write_steps(report: Report, folder: Path) -> Path:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        return _write_csv(report, folder / 'steps.csv')
    path = folder / 'steps.parquet'
    writer = None
    for columns in _tables(report):
        table = pyarrow.table(columns)
        if writer is None:
            writer = parquet.ParquetWriter(path, table.schema)
        writer.write_table(table)
    if writer is not None:
        writer.close()
    return path


def _write_csv(report: Report, path: Path) -> Path:
    with path.open('w', encoding='utf-8', newline='') as file:
        writer = csv.writer(file)
        for index, columns in enumerate(_tables(report)):
            if not index:
                writer.writerow(columns)
            for row in zip(*(values.tolist() for values in columns.values()), strict=True):
                writer.writerow(['' if value != value else value for value in row])
    return path


def _tables(report: Report) -> Iterator[dict[str, Any]]:
    """Yield the columns of the table, some rows of one policy on one recording at a time."""
    for found in report.recordings:
        for name, run in found.runs.items():
            for begin in range(0, len(found.steps), _ROWS):
                yield _columns(found, name, run, slice(begin, begin + _ROWS))
                found.steps.arrays.release()


def _columns(found: Evaluated, name: str, run: PolicyRun, rows: slice) -> dict[str, Any]:
    seqs = found.steps.seqs[rows]
    columns: dict[str, Any] = {
        'recording': np.full(len(seqs), found.about.name),
        'policy': np.full(len(seqs), name),
        'episode_id': np.asarray(found.steps.episode_names)[found.steps.episodes[rows]],
        'seq': seqs,
        'stamp_ns': found.steps.stamps_ns[rows],
        'applied': ~np.isnan(run.step_us[rows]),
        **{name: getattr(run, name)[rows] for name in _VALUES},
        'error': run.errors[rows].mean(axis=1),
    }
    for joint, label in enumerate(found.steps.info.joint_names):
        columns |= {
            f'error.{label}': run.errors[rows, joint],
            f'action.{label}': run.actions[rows, joint],
            f'recorded.{label}': found.steps.recorded[rows, joint],
        }
    return columns
