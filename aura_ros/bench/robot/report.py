# SPDX-License-Identifier: Apache-2.0
"""The files of a run: a JSON with all results, settings and versions, and a PNG."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from aura_ros.bench.robot.figure import draw, pick_episode
from aura_ros.bench.robot.paired import paired_rows
from aura_ros.bench.robot.records import EpisodeRecord, GateRecord, RunRecord, acceptance, summarise
from aura_ros.common.errors import ConfigError
from aura_ros.common.files import replace_text

FORMAT = 1
_PLAIN = ('task', 'policy', 'split', 'seed', 'rounds', 'episode_id', 'steps', 'write_events')


def write_report(run: RunRecord, directory: Path) -> tuple[Path, Path | None]:
    """Write `panel.json` and `panel.png` into `directory`, which is created if missing.

    Returns:
        the two absolute paths; None for the PNG if AURA drove no episode.

    Raises:
        ConfigError: the directory cannot be written, or matplotlib is missing (the JSON is then already written).
    """
    json_path, png_path = directory.absolute() / 'panel.json', directory.absolute() / 'panel.png'
    chosen = pick_episode(run.episodes)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        replace_text(json_path, json.dumps(to_json(run), indent=1, allow_nan=False) + '\n')
        if chosen is not None:
            draw(chosen, png_path)
    except OSError as error:
        raise ConfigError(
            f'report_dir = {str(directory)!r} cannot be written ({error.strerror}): choose a writable folder'
        ) from error
    return json_path, png_path if chosen is not None else None


def to_json(run: RunRecord) -> dict[str, Any]:
    """Return the run as JSON types, with single steps only for the episode of the plot."""
    rows = [summarise(episode) for episode in run.episodes]
    drawn = pick_episode(run.episodes)
    return {
        'format': FORMAT,
        'started': run.started,
        'wall_s': round(run.wall_s, 1),
        'lockstep': run.lockstep,
        'versions': dict(run.versions),
        'weight_hashes': dict(run.weight_hashes),
        'summary': [asdict(row) | {'rate': row.rate} for row in rows],
        'paired': [row.as_json() for row in paired_rows(run.episodes)],
        'acceptance': [asdict(check) for check in acceptance(rows)],
        'episodes': [_episode(episode, episode is drawn) for episode in run.episodes],
    }


def _episode(episode: EpisodeRecord, with_steps: bool) -> dict[str, Any]:
    rounds = []
    for event in episode.outcomes:
        own = [other for other in episode.events if other.round == event.round]
        cue = ', '.join(other.colour for other in own if other.kind == 'cue')
        rounds.append(
            {
                'round': event.round,
                'success': event.kind == 'round_success',
                'cue': cue,
                'touched': event.colour,
                'end_s': round(event.time_s, 3),
            }
        )
    found: dict[str, Any] = {name: getattr(episode, name) for name in _PLAIN}
    found |= {'sim_s': round(episode.sim_s, 3), 'wall_s': round(episode.wall_s, 2)}
    found['missing_steps'] = {policy: episode.missing_steps(policy) for policy in episode.gates}
    found['outcomes'] = rounds
    found['events'] = [[round(event.time_s, 3), event.kind, event.round, event.colour] for event in episode.events]
    aura = episode.gates.get('aura', ())
    found['aura_write_steps'] = [point.seq for point in aura if point.written]
    if with_steps:
        found['step_columns'] = ['time_s', 'seq', 'gate', 'threshold', 'written', 'us', 'bytes']
        found['step_values'] = {
            policy: [_step_values(point) for point in points] for policy, points in episode.gates.items()
        }
    return found


def _step_values(step: GateRecord) -> list[float]:
    """Return the values of `step_columns`."""
    scores = round(step.gate, 5), round(step.threshold, 5)
    return [round(step.time_s, 3), step.seq, *scores, int(step.written), round(step.step_us, 1), step.state_bytes]
