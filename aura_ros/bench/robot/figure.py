# SPDX-License-Identifier: Apache-2.0
"""The plot of a run: gate scores and writes over time, and the state size of each memory."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aura_ros.bench.plots import saved_figure
from aura_ros.bench.robot.records import EpisodeRecord, GateRecord
from aura_ros.common.policy_styles import STYLES

GATE, KV = STYLES['aura'].light, STYLES['kv'].light
# Colours of Okabe and Ito, which are distinct for all types of colour vision; shapes differ as well.
CUE, LAMP, GO, WRITE = '#D55E00', '#8C8C8C', '#009E73', '#000000'
SHOWN_ROUNDS = 12


def pick_episode(episodes: Sequence[EpisodeRecord]) -> EpisodeRecord | None:
    """Return the first episode that AURA drove on recall, else on any task, else None."""
    driven = [found for found in episodes if found.policy == 'aura' and found.gates.get('aura')]
    recall = [found for found in driven if found.task == 'recall']
    return next(iter(recall or driven), None)


def draw(episode: EpisodeRecord, path: Path) -> None:
    """Write the plot of `episode` as PNG.

    Raises:
        ConfigError: matplotlib is not installed.
    """
    with saved_figure(path, 1, (13.0, 7.4), nrows=2, height_ratios=(3.0, 2.0)) as (gate_axes, size_axes):
        _draw_gate(gate_axes, episode)
        _draw_sizes(size_axes, episode)


def _draw_gate(axes: Any, episode: EpisodeRecord) -> None:
    end_s = _shown_until(episode)
    points = [point for point in episode.gates['aura'] if point.time_s <= end_s]
    times = [point.time_s for point in points]
    axes.axhspan(1.02, 1.42, color='#F4F4F4', zorder=0)
    _draw_events(axes, episode, end_s)
    axes.plot(times, [point.gate for point in points], color=GATE, lw=1.1, label='gate score')
    threshold = points[-1].threshold
    axes.axhline(threshold, color=GATE, lw=0.9, ls=(0, (6, 4)), label=f'threshold {threshold:.2f}')
    writes = [point.time_s for point in points if point.written]
    axes.plot(writes, [1.07] * len(writes), marker='|', ms=13, mew=2.2, ls='', color=WRITE, label='write', zorder=4)
    axes.set(xlim=(-0.01 * end_s, end_s), ylim=(-0.03, 1.42), ylabel='gate score')
    axes.set_yticks([0.0, 0.25, 0.5, 0.75, 1.0])
    axes.set_xlabel('time in the episode [s]')
    shown = min(len(episode.outcomes), SHOWN_ROUNDS)
    solved = sum(event.kind == 'round_success' for event in episode.outcomes[:shown])
    total = len(episode.outcomes)
    part = f'rounds 1-{shown} of {total}' if shown < total else f'{total} rounds'
    axes.set_title(
        f'AURA on {episode.task}: {part}, {solved} solved, {len(writes)} writes in {len(points)} steps',
        loc='left',
        weight='bold',
    )
    handles, labels = axes.get_legend_handles_labels()
    axes.legend(
        handles,
        labels,
        ncols=len(labels),
        frameon=False,
        loc='upper left',
        bbox_to_anchor=(0.0, -0.13),
        columnspacing=1.6,
        handletextpad=0.5,
    )


def _draw_events(axes: Any, episode: EpisodeRecord, end_s: float) -> None:
    events = [event for event in episode.events if event.time_s <= end_s]

    def row(kind: str, height: float, label: str, **style: Any) -> None:
        times = [event.time_s for event in events if event.kind == kind]
        if times:
            axes.plot(times, [height] * len(times), ls='', label=label, zorder=3, **style)

    for event in events:
        if event.kind in ('cue', 'cue_repeat'):
            axes.axvline(event.time_s, ymax=0.93, color=CUE, lw=0.9, alpha=0.45, zorder=1)
        elif event.kind.startswith('round_'):
            axes.axvline(event.time_s, color='#CFCFCF', lw=0.8, zorder=0)
            failed = event.kind == 'round_failure'
            text = 'failed' if failed else f'{event.round + 1}'
            axes.annotate(
                text,
                (event.time_s, 1.40),
                xytext=(-3, 0),
                textcoords='offset points',
                ha='right',
                va='top',
                fontsize=8,
                weight='bold' if failed else 'normal',
                color=CUE if failed else '#6E6E6E',
            )
    row('cue', 1.28, 'cue', marker='v', ms=8, color=CUE)
    row('cue_repeat', 1.28, 'cue again', marker='v', ms=8, mfc='white', color=CUE)
    row('distractor', 1.16, 'distractor', marker='x', ms=5, color=LAMP)
    row('reshuffle', 1.16, 'blocks moved', marker='s', ms=4.5, mfc='white', color=LAMP)
    row('go', 1.28, 'go sign', marker='>', ms=7, color=GO)


def _draw_sizes(axes: Any, episode: EpisodeRecord) -> None:
    for policy, name, colour, dash in (('kv', 'KV-cache', KV, '-'), ('aura', 'AURA', GATE, '-')):
        points = episode.gates.get(policy, ())
        if points:
            axes.plot(
                [point.time_s for point in points],
                [point.state_bytes for point in points],
                color=colour,
                ls=dash,
                lw=2.2,
            )
            _annotate_size(axes, points[-1], name, colour)
    axes.set_yscale('log')
    axes.yaxis.set_major_formatter('{x:,.0f}')
    axes.set(xlabel='time in the episode [s]', ylabel='state [bytes]')
    axes.set_xlim(-0.01 * _end(episode), _end(episode))
    axes.grid(axis='y', which='major', color='#E3E3E3', lw=0.8)
    axes.set_title('State size of each memory on the same steps', loc='left', weight='bold')


def _annotate_size(axes: Any, last: GateRecord, name: str, colour: str) -> None:
    axes.annotate(
        f'{name}  {last.state_bytes:,} B',
        (last.time_s, last.state_bytes),
        xytext=(-6, 7),
        textcoords='offset points',
        ha='right',
        color=colour,
        weight='bold',
    )


def _shown_until(episode: EpisodeRecord) -> float:
    """Return the end of the last round shown; more rounds would be unreadable."""
    ends = [event.time_s for event in episode.outcomes]
    return ends[SHOWN_ROUNDS - 1] if len(ends) > SHOWN_ROUNDS else _end(episode)


def _end(episode: EpisodeRecord) -> float:
    times = [point.time_s for point in episode.gates['aura']] + [event.time_s for event in episode.events]
    return max(max(times), 1e-3)
