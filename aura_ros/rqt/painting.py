# SPDX-License-Identifier: Apache-2.0
"""Paints the views of a page from the model, each when it is due. All views of one painting show the same moment."""

import math
import time
from dataclasses import fields

import numpy as np

from aura_ros.rqt.model import MonitorModel
from aura_ros.rqt.page import Page
from aura_ros.rqt.points import CachePoint, DiagnosticPoint, GatePoint, StatePoint, StepPoint, Thumbnail, WritePoint
from aura_ros.rqt.schedule import PaintSchedule, PaintTask
from aura_ros.rqt.series import thin
from aura_ros.rqt.view_data import GateSeries
from aura_ros.rqt.views import story
from aura_ros.rqt.views.panel import Window
from aura_ros.rqt.views.raster import BINS
from aura_ros.rqt.views.writes import CARDS

# Approximate width of the curves, which is also the number of points that can be seen.
_PIXELS = _POINTS = 800


class Painting:
    """The paint tasks of one page."""

    def __init__(self, page: Page, model: MonitorModel, window_s: float) -> None:
        """Paint `model` on `page`; the curves show `window_s` [s]."""
        self._page, self.model, self.window_s = page, model, window_s
        self.schedule = self._schedule()
        self._window = Window(0.0, window_s)
        self._moment = model.moment(time.monotonic())

    def show_window(self, window_s: float) -> None:
        """Set the time that the curves show [s]."""
        self.window_s = window_s
        self.schedule = self._schedule()

    def _schedule(self) -> PaintSchedule:
        # A curve is painted when it has moved by a pixel, and at most twice a second.
        return PaintSchedule(
            PaintTask(self._paint_header, 0.5),
            PaintTask(self._paint_gate, max(0.5, self.window_s / _PIXELS), {GatePoint}, urgent={WritePoint}),
            PaintTask(self._paint_raster, max(0.5, self.window_s / BINS), {StatePoint, GatePoint}),
            PaintTask(self._paint_state, 0.5, {StatePoint, Thumbnail}),
            # Each second, because the cards show how long ago the writes were.
            PaintTask(self._paint_writes, 1.0, {GatePoint}, urgent={WritePoint, Thumbnail}),
            PaintTask(self._paint_cost, 1.0, {GatePoint, CachePoint}),
            PaintTask(self._paint_latency, 1.0, {GatePoint, StepPoint, DiagnosticPoint}),
            PaintTask(self._paint_summary, 1.0, {GatePoint}),
        )

    def run(self, kinds: set[type], now_s: float) -> None:
        """Paint what is due at `now_s` [s, steady clock]; `kinds` are the types of the points received since."""
        moment = self.model.moment(now_s)
        if moment.mode is not self._moment.mode:
            # Every view changes its time reference at once.
            self.schedule.repaint()
            self._page.dim(moment)
        self._moment = moment
        newest, cursor = self.model.span[1], moment.stamp_s if self.model.cursor is not None else None
        # A cursor is inside the window, with the steps after it.
        end_s = newest if cursor is None else min(newest, cursor + self.window_s / 4)
        self._window = Window(end_s, self.window_s, cursor, live=moment.live)
        self.schedule.run(kinds, now_s)

    def _paint_gate(self) -> None:
        window = self._window
        gate = _cut(self.model.gate(), window.end_s - window.length_s, window.end_s)
        self._page.gate.show_gate(gate, self.model.policies(), self.model.episodes(), window)
        self._page.gate.events.show_events(self.model.memory_events(), window)

    def _paint_raster(self) -> None:
        self._page.raster.show_raster(self.model.raster(), self._window)
        self._page.raster.events.show_events(self.model.memory_events(), self._window)

    def _paint_state(self) -> None:
        self._page.state.show_state(self.model.state(), self.model.items(), self._window, self.model.memory())

    def _paint_writes(self) -> None:
        model = self.model
        reasons = {write: model.reason(write) for write in model.writes(CARDS)}
        self._page.writes.show_writes(reasons, model.thumbnails(CARDS), self._window, model.memory_events())

    def _paint_cost(self) -> None:
        self._page.cost.show_cost(
            self.model.cost(points=200), self._window, self.model.memory_events(), self._moment.frozen
        )

    def _paint_latency(self) -> None:
        self._page.latency.show_latency(self.model.latency(), frozen=self._moment.frozen)

    def _paint_header(self) -> None:
        page, model = self._page, self.model
        header = model.header(time.monotonic())
        page.show_idle(math.isinf(header.stale_s))
        page.header.show_header(header, self._moment, model.memory())
        page.header.show_task(header, model.instruction(), model.rounds(), len(model.episodes().t), self._moment)
        page.camera.show_camera(*model.camera(time.monotonic()), self._moment)
        page.policies.show_policy(header.policy if header.policy_known and not self._moment.frozen else '')
        page.scrubber.show_span(model.span, self._moment, page.theme)

    def _paint_summary(self) -> None:
        model = self.model
        last = model.writes(1)
        why = (last[0], model.reason(last[0])) if last else None
        self._page.header.summary.setText(story.summarize(model.gate(), why, model.cost(2), self._window))


def _cut(gate: GateSeries, begin: float, end: float) -> GateSeries:
    """Return the part between two times, thinned, with one more sample on each side so that curves reach the edges."""
    first = max(0, int(np.searchsorted(gate.t, begin)) - 1)
    inside = slice(first, int(np.searchsorted(gate.t, end, side='right')) + 1)
    part = GateSeries(*(getattr(gate, field.name)[inside] for field in fields(GateSeries)))
    drawn = thin(part.t, part.gate, part.written, _POINTS)
    return GateSeries(*(getattr(part, field.name)[drawn] for field in fields(GateSeries)))
