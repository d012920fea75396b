# SPDX-License-Identifier: Apache-2.0
"""`aura panel --endurance`: one long episode of mixed tasks for each policy, with figures per hundred rounds."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from aura_ros.bench.robot.console import print_endurance, print_paired, print_sentence
from aura_ros.bench.robot.endurance import EnduranceFile, paired_runs
from aura_ros.common.closing import closing_console
from aura_ros.common.names import PANEL_TASKS
from aura_ros.common.provenance import weight_hashes
from aura_ros.tools.panel.comparison import Comparison, EpisodeSettings, Leg

ROUNDS = 1000
TASKS = ','.join(PANEL_TASKS)
"""Tasks if the caller names none."""
_RUN_SETTINGS = ('split', 'seed', 'rounds', 'lockstep')


def open_file(folder: Path, settings: EpisodeSettings, legs: Sequence[Leg]) -> EnduranceFile:
    """Open `endurance.json` in the folder, which has what earlier calls have run.

    Raises:
        ConfigError: the file has other settings, or cannot be read.
    """
    chosen = {name: value for name, value in asdict(settings).items() if name in _RUN_SETTINGS}
    return EnduranceFile(folder / 'endurance.json', {'tasks': legs[0].task, **chosen, 'weight_hashes': weight_hashes()})


def run_endurance(comparison: Comparison, console: Console, file: EnduranceFile, legs: Sequence[Leg]) -> None:
    """Run the policies that the file does not have, and print the figures of all.

    A policy that did not end all its rounds starts again, because its memory is gone.

    Raises:
        ConfigError: the file cannot be written.
        GraphError: see `Comparison.run`. Every finished hundred is in the file.
    """
    left = [leg for leg in legs if not file.finished(leg.policy)]
    for leg in legs:
        if leg not in left:
            console.print(f'{leg}: all rounds are in {file.path}', soft_wrap=True)
    try:
        comparison.run(left)
    finally:
        if file.runs:
            with closing_console() as last:
                _report(last, file)


def _report(console: Console, file: EnduranceFile) -> None:
    print_paired(console, paired_runs(file.runs))
    console.print(f'  {file.path.absolute()}', soft_wrap=True)
    print_endurance(console, file.runs)
    print_sentence(console, [(run.policy, *run.solved(), run.writes()) for run in file.runs])
