// SPDX-License-Identifier: Apache-2.0
// Makes tables sortable and figures savable. Without this script the page has the same content.
'use strict';

const theme = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function save(blob, name) {
  const link = element('a', {href: URL.createObjectURL(blob), download: name.replace(/[^\w.-]+/g, '_')});
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
function savePicture(source, width, height, name) {
  const canvas = element('canvas', {width, height}), pen = canvas.getContext('2d');
  pen.fillStyle = theme('--card');
  pen.fillRect(0, 0, width, height);
  pen.drawImage(source, 0, 0, width, height);
  canvas.toBlob(blob => save(blob, name));
}
function element(tag, properties, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}
function button(words, label, act) {
  const made = element('button', {type: 'button', textContent: words, ariaLabel: label});
  made.addEventListener('click', act);
  return made;
}

function standalone(svg) {
  const copy = svg.cloneNode(true), box = svg.viewBox.baseVal;
  copy.setAttribute('xmlns', 'http://www.w3.org/2000/svg');
  copy.setAttribute('width', box.width);
  copy.setAttribute('height', box.height);
  const style = document.createElementNS('http://www.w3.org/2000/svg', 'style');
  style.textContent = document.querySelector('style').textContent;
  copy.prepend(style);
  return new Blob([new XMLSerializer().serializeToString(copy)], {type: 'image/svg+xml'});
}
function saveButtons(figure) {
  const svg = figure.querySelector('svg'), name = figure.dataset.name, box = svg.viewBox.baseVal;
  figure.after(element('div', {className: 'save'},
    button('SVG', `save the chart ${name} as SVG`, () => save(standalone(svg), `${name}.svg`)),
    button('PNG', `save the chart ${name} as PNG`, () => {
      const picture = element('img', {src: URL.createObjectURL(standalone(svg))});
      picture.onload = () => savePicture(picture, 2 * box.width, 2 * box.height, `${name}.png`);
    })));
}

function sortable(table) {
  const heads = [...table.tHead.rows[0].cells], body = table.tBodies[0];
  const value = (row, column) => {
    const cell = row.cells[column], text = (cell.dataset.value ?? cell.textContent).trim().replace(/,/g, '');
    return text === '' || text === '–' ? null : isNaN(text) ? text : Number(text);
  };
  heads.forEach((head, column) => {
    const words = head.textContent;
    head.textContent = '';
    head.append(button(words, `sort by ${words}`, () => {
      const down = head.getAttribute('aria-sort') === 'ascending';
      heads.forEach(other => other.removeAttribute('aria-sort'));
      head.setAttribute('aria-sort', down ? 'descending' : 'ascending');
      const rows = [...body.rows].map(row => [value(row, column), row]);
      rows.sort(([a], [b]) => {
        if (a === null || b === null) return (a === null) - (b === null); // empty cells stay at the end
        return (down ? -1 : 1) * (typeof a === 'number' && typeof b === 'number' ? a - b : String(a).localeCompare(b));
      });
      body.append(...rows.map(([, row]) => row));
    }));
  });
}

document.querySelectorAll('figure.chart').forEach(saveButtons);
document.querySelectorAll('table.sortable').forEach(sortable);
addEventListener('beforeprint', () => document.querySelectorAll('details').forEach(each => { each.open = true; }));
