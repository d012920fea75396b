// SPDX-License-Identifier: Apache-2.0
// Draws the charts of each recording with uPlot: zoom, and one cursor for all charts, the picture and the values.
// Uses the functions of page.js.
'use strict';

const dark = matchMedia('(prefers-color-scheme: dark)');
const bytes = text => Uint8Array.from(atob(text), letter => letter.charCodeAt(0)).buffer;
const numbers = text => Array.from(new Float32Array(bytes(text)), value => Number.isNaN(value) ? null : value);
const doubles = text => Array.from(new Float64Array(bytes(text)));
const integers = text => Array.from(new Int32Array(bytes(text)));
const font = size => `${Math.round(size * devicePixelRatio)}px system-ui, "Segoe UI", "DejaVu Sans", sans-serif`;
const SIDE = 78, LABELS = 82, TIMES = [.1, .2, .5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200];

// The same forms as in svg.py: '7.5 s', '2:05', '1:02:05'; '4,224 B', '126 kB'.
function clock(seconds) {
  if (seconds < 60) return `${+seconds.toPrecision(3)} s`;
  const whole = Math.round(seconds), pad = value => String(value).padStart(2, '0');
  const hours = Math.floor(whole / 3600), minutes = Math.floor(whole / 60) % 60;
  return hours ? `${hours}:${pad(minutes)}:${pad(whole % 60)}` : `${minutes}:${pad(whole % 60)}`;
}
function size(count) {
  if (count < 1e4) return `${Math.round(count).toLocaleString('en')} B`;
  const units = [['kB', 1e3], ['MB', 1e6], ['GB', 1e9], ['TB', 1e12]];
  const [unit, factor] = units.find(([, each]) => count < 1e3 * each) ?? units.at(-1);
  return `${+(count / factor).toPrecision(3)} ${unit}`;
}

class Explorer {
  constructor(section) {
    const data = JSON.parse(section.querySelector('script').textContent);
    this.section = section;
    this.times = doubles(data.times);
    this.seqs = integers(data.seqs);
    this.begins = data.begins;
    this.frames = data.frames;
    this.framed = Object.keys(data.frames).map(Number).sort((a, b) => a - b);
    this.joints = data.joints;
    this.recorded = data.recorded.map(numbers);
    this.policies = data.policies.map(policy => ({...policy, gate: policy.gate && numbers(policy.gate),
      writes: integers(policy.writes), wrote: new Set(integers(policy.writes)), state: doubles(policy.state),
      error: numbers(policy.error), actions: policy.actions.map(numbers)}));
    this.end = Math.max(this.times.at(-1), 1e-3);
    this.range = [0, this.end];
    this.at = 0;
    this.joint = 0;
    this.plots = [];
    section.hidden = false;
    this.draw();
    this.control();
    this.show(this.gated?.writes[0] ?? 0);
    requestAnimationFrame(() => this.place()); // uPlot hides the cursor when a chart is ready
  }
  get gated() { return this.policies.find(policy => policy.gate && policy.writes.length); }
  find(selector) { return this.section.querySelector(selector); }

  draw() {
    const lines = pick => this.policies.map(policy => this.line(policy, pick(policy)));
    const gates = this.policies.filter(policy => policy.gate);
    const writers = this.policies.filter(policy => policy.writes.length).reverse();
    if (gates.length) {
      const limits = gates.map(({threshold}) => (
        {values: this.times.map(() => threshold), stroke: () => theme('--soft'), width: 1, dash: [6, 4]}));
      const scores = gates.map(policy => ({...this.line(policy, policy.gate), marked: policy.writes}));
      this.chart('gate score', 170, [...limits, ...scores], {range: [0, 1.05]});
    }
    if (writers.length) {
      const axis = {splits: () => writers.map((_, row) => row + .5), values: () => writers.map(policy => policy.name)};
      const height = 34 + 24 * writers.length, bars = (plot, pen) => this.bars(plot, pen, writers);
      this.chart('writes', height, [], {range: [0, writers.length]}, bars, axis);
    }
    if (this.policies.some(policy => policy.state.some(Boolean))) {
      const power = (round, value) => 10 ** round(Math.log10(value || 1));
      const decades = ({scales: {y: {min, max}}}) =>
        Array.from({length: Math.round(Math.log10(max / min)) + 1}, (_, place) => min * 10 ** place);
      const sized = lines(policy => policy.state.map(value => value || null));
      this.chart('state size', 150, sized.filter(line => line.values.some(Boolean)),
        {distr: 3, range: (_, least, most) => [power(Math.floor, least), power(Math.ceil, 1.01 * most || 10)]}, null,
        {splits: decades, values: (_, splits) => splits.map(size)});
    }
    if (this.policies.some(policy => policy.error.some(value => value !== null)))
      this.chart('action error [rad]', 180, lines(policy => policy.error),
        {range: (_, low, high) => [0, (high || 1e-3) * 1.05]});
    this.actions = this.chart('target of a joint', 200, this.targets(), {});
    const choices = this.joints.map((name, index) => new Option(name, index));
    const choice = element('select', {ariaLabel: 'joint'}, ...choices);
    choice.addEventListener('change', () => {
      this.joint = Number(choice.value);
      this.targets().forEach((line, index) => { this.actions.data[index + 1] = line.values; });
      this.actions.setData(this.actions.data, false);
      this.actions.setScale('x', {min: this.range[0], max: this.range[1]});
      this.show(this.at);
    });
    this.actions.root.previousElementSibling.append(choice);
  }
  targets() {
    const recorded = {values: this.recorded[this.joint], stroke: () => theme('--wide'), width: 5};
    return [recorded, ...this.policies.map(policy => this.line(policy, policy.actions[this.joint]))];
  }
  colour(policy) { return policy.colours[dark.matches ? 1 : 0]; }
  line(policy, values) {
    return {label: policy.name, policy, values, show: policy.checked, stroke: () => this.colour(policy), width: 1.6,
      dash: policy.dash.map(length => length * devicePixelRatio)};
  }

  chart(name, height, lines, scale, extra, axis = {}) {
    const head = element('div', {className: 'head'}, element('h3', {textContent: name}));
    const side = {stroke: () => theme('--soft'), grid: {stroke: () => theme('--grid'), width: 1}, ticks: {show: false},
      font: '12px system-ui, "Segoe UI", "DejaVu Sans", sans-serif'};
    const at = (plot, index) => plot.valToPos(this.times[index], 'x', true);
    const gaps = (plot, line, from, to, missing) => // a line ends with its episode
      [...missing, ...this.begins.slice(1).map(index => [at(plot, index - 1), at(plot, index)])]
        .sort(([a], [b]) => a - b);
    const plot = new uPlot({
      width: this.width(), height, padding: [10, LABELS, 0, 0], legend: {show: false},
      cursor: {y: false, drag: {x: true, y: false, dist: 4}, points: {show: false}},
      scales: {x: {time: false, range: (_, low, high) => [low, high]}, y: scale},
      axes: [{...side, size: 26, incrs: TIMES, values: (_, splits) => splits.map(clock)},
        {...side, size: SIDE, ...axis}],
      series: [{}, ...lines.map(({values, policy, marked, ...line}) => ({points: {show: false}, gaps, ...line}))],
      hooks: {
        setCursor: [plot => this.hovered(plot)],
        setScale: [(plot, key) => key === 'x' && this.zoom(plot.scales.x.min, plot.scales.x.max)],
        draw: [plot => {
          plot.ctx.save();
          this.episodes(plot, plot.ctx);
          extra?.(plot, plot.ctx);
          this.names(plot, plot.ctx, lines);
          plot.ctx.restore();
        }],
      },
    }, [this.times, ...lines.map(line => line.values)], (made, begin) => {
      this.find('.plots').append(head, made.root);
      begin();
    });
    plot.root.setAttribute('aria-hidden', 'true'); // the table has the values at the cursor
    plot.over.addEventListener('mousedown', event => event.shiftKey && this.pan(plot, event), true);
    head.append(button('PNG', `save the chart ${name} as PNG`,
      () => savePicture(plot.ctx.canvas, plot.ctx.canvas.width, plot.ctx.canvas.height, `${name}.png`)));
    this.plots.push(plot);
    return plot;
  }
  width() { return Math.max(260, this.find('.plots').clientWidth); }

  shows(time) { return time >= this.range[0] && time <= this.range[1]; }
  mark(plot, pen, policy, index, value) {
    if (value === null || value === undefined || !this.shows(this.times[index])) return;
    const x = plot.valToPos(this.times[index], 'x', true), y = plot.valToPos(value, 'y', true);
    const scale = 4.2 * devicePixelRatio;
    pen.beginPath();
    policy.shape.forEach(([dx, dy]) => pen.lineTo(x + scale * dx, y + scale * dy));
    pen.fillStyle = this.colour(policy);
    pen.fill();
  }
  episodes(plot, pen) {
    pen.strokeStyle = theme('--soft');
    pen.setLineDash([devicePixelRatio, 3 * devicePixelRatio]);
    pen.lineWidth = devicePixelRatio;
    this.begins.slice(1).map(index => this.times[index]).filter(time => this.shows(time)).forEach(time => {
      const x = plot.valToPos(time, 'x', true);
      pen.beginPath();
      pen.moveTo(x, plot.bbox.top);
      pen.lineTo(x, plot.bbox.top + plot.bbox.height);
      pen.stroke();
    });
  }
  // Lines differ by their markers too, and each has its name at its end.
  names(plot, pen, lines) {
    const [first, last] = plot.series[0].idxs, right = plot.bbox.left + plot.bbox.width, ends = [];
    lines.forEach((line, place) => {
      if (!line.policy || !plot.series[place + 1].show || first === null) return;
      const values = plot.data[place + 1], apart = (last - first) / 6, offset = (place + .5) / lines.length;
      const marked = line.marked ?? [0, 1, 2, 3, 4, 5].map(mark => Math.round(first + apart * (mark + offset)));
      marked.forEach(index => this.mark(plot, pen, line.policy, index, values[index]));
      for (let index = last; index >= first; index--)
        if (values[index] !== null) { ends.push([plot.valToPos(values[index], 'y', true), line.policy]); break; }
    });
    ends.sort(([a], [b]) => a - b);
    pen.font = `600 ${font(12)}`;
    pen.textBaseline = 'middle';
    pen.textAlign = 'left';
    let free = -Infinity;
    for (const [y, policy] of ends) {
      free = Math.max(y, free + 13 * devicePixelRatio);
      pen.fillStyle = this.colour(policy);
      pen.fillText(policy.name, right + 7 * devicePixelRatio, free);
    }
  }
  bars(plot, pen, writers) {
    const {left, width} = plot.bbox, least = Math.max(1, devicePixelRatio);
    writers.forEach((policy, row) => {
      const top = plot.valToPos(row + .85, 'y', true), bottom = plot.valToPos(row + .15, 'y', true);
      pen.fillStyle = this.colour(policy);
      for (let place = 0; place < policy.writes.length; place++) {
        const begin = policy.writes[place];
        while (policy.writes[place + 1] === policy.writes[place] + 1) place++;
        const from = Math.max(left, plot.valToPos(this.times[begin], 'x', true) - least);
        const to = Math.min(left + width, plot.valToPos(this.times[policy.writes[place]], 'x', true) + least);
        if (to > from) pen.fillRect(from, top, to - from, bottom - top);
      }
    });
  }

  // --- cursor and range, the same in all charts ---------------------------------------------------------------------

  hovered(plot) {
    const index = plot.cursor.idx;
    if (plot.over.matches(':hover') && index !== null && plot.cursor.left >= 0) this.show(index, plot);
    else this.place(); // the mouse left, or the chart changed its size
  }
  place(except) {
    for (const plot of this.plots)
      if (plot !== except) plot.setCursor({left: plot.valToPos(this.times[this.at], 'x'), top: 0}, false, false);
  }
  show(index, origin) {
    this.at = Math.min(Math.max(index, 0), this.times.length - 1);
    const time = this.times[this.at], [low, high] = this.range;
    if (!origin && !this.shows(time)) this.zoom(time - (high - low) / 2, time + (high - low) / 2);
    this.place(origin);
    this.read();
  }
  zoom(low, high) {
    const length = Math.min(high - low, this.end);
    low = Math.min(Math.max(low, 0), this.end - length);
    high = low + length;
    if (low === this.range[0] && high === this.range[1] || !(length > 0)) return;
    this.range = [low, high];
    for (const plot of this.plots) plot.setScale('x', {min: low, max: high});
    this.find('.range').textContent = `${clock(low)} to ${clock(high)}`;
    requestAnimationFrame(() => this.place());
  }
  pan(plot, event) {
    event.stopImmediatePropagation();
    const [low, high] = this.range, from = event.clientX, each = (high - low) / plot.over.clientWidth;
    const move = now => this.zoom(low + (from - now.clientX) * each, high + (from - now.clientX) * each);
    addEventListener('mousemove', move);
    addEventListener('mouseup', () => removeEventListener('mousemove', move), {once: true});
  }
  step(direction) {
    const writes = this.gated?.writes ?? [];
    return direction > 0 ? writes.find(index => index > this.at) : writes.findLast(index => index < this.at);
  }
  control() {
    const slider = this.find('.cursor');
    const zoom = factor => {
      const [low, high] = this.range, time = Math.min(Math.max(this.times[this.at], low), high);
      this.zoom(time - (time - low) * factor, time + (high - time) * factor);
    };
    const about = share => this.zoom(...this.range.map(time => time + share * (this.range[1] - this.range[0])));
    const acts = {in: () => zoom(.5), out: () => zoom(2), left: () => about(-.5), right: () => about(.5),
      all: () => this.zoom(0, this.end), before: () => this.show(this.step(-1) ?? this.at),
      after: () => this.show(this.step(1) ?? this.at)};
    slider.max = this.times.length - 1;
    slider.addEventListener('input', () => this.show(Number(slider.value)));
    this.section.querySelectorAll('[data-do]').forEach(each => each.addEventListener('click', acts[each.dataset.do]));
    const boxes = this.section.querySelectorAll('tr[data-policy] input');
    boxes.forEach((box, index) => box.addEventListener('change', () => {
      this.policies[index].checked = box.checked;
      this.plots.forEach(plot => plot.series.forEach((line, place) =>
        line.label === this.policies[index].name && plot.setSeries(place, {show: box.checked})));
    }));
    this.find('.range').textContent = `${clock(0)} to ${clock(this.end)}`;
    const fit = () => this.plots.forEach(plot => plot.setSize({width: this.width(), height: plot.height}));
    new ResizeObserver(fit).observe(this.find('.plots'));
    dark.addEventListener('change', () => this.plots.forEach(plot => plot.redraw(false)));
  }
  name(index) {
    const episode = this.begins.findLastIndex(begin => begin <= index) + 1;
    return `${this.begins.length > 1 ? `episode ${episode}, ` : ''}step ${this.seqs[index]}`;
  }
  read() {
    const {at} = this, time = clock(this.times[at]);
    const wrote = this.policies.filter(policy => policy.gate && policy.wrote.has(at));
    const writes = wrote.map(policy => `, ${policy.name} writes`).join('');
    const digits = value => value === null || value === undefined ? '' : value.toFixed(4).replace(/^-(0\.0+)$/, '$1');
    const slider = this.find('.cursor'), image = this.find('.frame img');
    slider.value = at;
    slider.setAttribute('aria-valuetext', `${time}, ${this.name(at)}${writes}`);
    const frame = this.framed.findLast(index => index <= at) ?? this.framed[0];
    if (frame !== undefined) {
      image.hidden = false;
      image.src = `data:image/jpeg;base64,${this.frames[frame]}`;
      image.alt = `camera at ${this.name(frame)}`;
    }
    const other = frame === undefined || frame === at ? '' : `; picture of ${this.name(frame)}`;
    this.find('figcaption').textContent = `${time}, ${this.name(at)}${other}`;
    this.section.querySelectorAll('tr[data-policy]').forEach((row, index) => {
      const policy = this.policies[index];
      const words = policy
        ? [policy.wrote.has(at) ? 'yes' : '', policy.gate?.[at]?.toFixed(2), policy.state[at] && size(policy.state[at]),
          digits(policy.error[at]), digits(policy.actions[this.joint][at])]
        : ['', '', '', '', digits(this.recorded[this.joint][at])];
      words.forEach((word, place) => { row.cells[place + 1].textContent = word || ''; });
    });
  }
}

document.querySelectorAll('.explorer').forEach(section => new Explorer(section));
document.documentElement.classList.add('interactive'); // hides the still charts
