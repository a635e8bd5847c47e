// The figures as a picture: a row for each measure with a budget, a dot for each who was measured, on a
// logarithmic scale of how many times the budget it is (a tenth at least). Readable on light and on dark.
import { measures } from './measures.mjs';

const LEFT = 390; // where the scale begins
const WIDTH = 470; // of the scale
const RIGHT = 90;
const ROW = 42;
const TOP = 64;
const BOTTOM = 44;

const style = `
.back { fill: #ffffff; }
text { font: 13px system-ui, sans-serif; fill: #1f2328; }
.small { font-size: 11px; fill: #59636e; }
.grid { stroke: #d1d9e0; }
.budget { stroke: #1a7f37; stroke-width: 2; }
.span { stroke: #afb8c1; stroke-width: 2; }
.ours { fill: #0969da; }
.floor { fill: #59636e; }
.before { fill: #cf5b00; }
@media (prefers-color-scheme: dark) {
  .back { fill: #0d1117; }
  text { fill: #e6edf3; }
  .small { fill: #9198a1; }
  .grid { stroke: #3d444d; }
  .budget { stroke: #3fb950; }
  .span { stroke: #59636e; }
  .ours { fill: #4493f8; }
  .floor { fill: #9198a1; }
  .before { fill: #f0883e; }
}`;

const escaped = (text) => text.replace(/&/g, '&amp;').replace(/</g, '&lt;');

// Each measure's dots: {kind, times, label}
function rowsOf(figures, number) {
  return measures.filter((m) => figures[m.key] && m.budget && !m.least).map((m) => {
    const { value, floor } = figures[m.key];
    const dot = (kind, it) => ({ kind, times: Math.max(it, m.budget / 10) / m.budget, label: number(it) });
    const dots = [dot('ours', value)];
    if (floor !== undefined) dots.push(dot('floor', floor));
    if (m.predecessor !== undefined) dots.push(dot('before', m.predecessor));
    return { name: m.name, unit: m.unit, dots };
  });
}

export function plot({ machine, figures }, number) {
  const rows = rowsOf(figures, number);
  if (rows.length === 0) return undefined;
  const all = rows.flatMap((r) => r.dots.map((d) => d.times));
  const least = Math.floor(Math.log10(Math.min(0.5, ...all)));
  const most = Math.ceil(Math.log10(Math.max(2, ...all)));
  const x = (times) => LEFT + (WIDTH * (Math.log10(times) - least)) / (most - least);
  const height = TOP + rows.length * ROW + BOTTOM;
  const at = (value) => value.toFixed(1);
  const out = [`<rect class="back" width="${LEFT + WIDTH + RIGHT}" height="${height}" rx="8"/>`];
  const legend = [['ours', 'codex-proxy'], ['floor', 'HAProxy, bare client'], ['before', 'the TypeScript predecessor']];
  let left = LEFT;
  for (const [kind, text] of legend) {
    out.push(`<circle class="${kind}" cx="${left}" cy="22" r="6"/><text x="${left + 12}" y="26">${text}</text>`);
    left += 32 + text.length * 7.2;
  }
  for (let power = least; power <= most; power++) {
    const px = at(x(10 ** power));
    out.push(`<line class="${power === 0 ? 'budget' : 'grid'}" x1="${px}" y1="${TOP - 14}" x2="${px}" y2="${height - BOTTOM + 4}"/>`);
    const text = power === 0 ? 'budget' : power < 0 ? `1/${10 ** -power}` : `${10 ** power} times`;
    out.push(`<text class="small" x="${px}" y="${height - BOTTOM + 20}" text-anchor="middle">${text}</text>`);
  }
  rows.forEach((row, i) => {
    const y = TOP + i * ROW + ROW / 2;
    const xs = row.dots.map((d) => x(d.times));
    out.push(`<text x="${LEFT - 16}" y="${y + 4}" text-anchor="end">${escaped(row.name)}${row.unit ? `, ${row.unit}` : ''}</text>`);
    out.push(`<line class="span" x1="${at(Math.min(...xs))}" y1="${y}" x2="${at(Math.max(...xs))}" y2="${y}"/>`);
    // ours on top of the others
    for (const d of [...row.dots].reverse()) {
      const above = d.kind === 'ours';
      out.push(`<circle class="${d.kind}" cx="${at(x(d.times))}" cy="${y}" r="6"/>`);
      out.push(`<text class="small" x="${at(x(d.times))}" y="${above ? y - 9 : y + 18}" text-anchor="middle">${d.label}</text>`);
    }
  });
  out.push(`<text class="small" x="${LEFT - 16}" y="26" text-anchor="end">commit ${machine.commit}, ${machine.date}</text>`);
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${LEFT + WIDTH + RIGHT} ${height}" role="img" ` +
    `aria-label="codex-proxy beside its budget, HAProxy and its predecessor">\n<style>${style}</style>\n${out.join('\n')}\n</svg>\n`;
}
