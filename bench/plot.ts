/** Line charts as SVG, with logarithmic axes, readable on light and dark pages. */

export interface Series {
  readonly name: string;
  readonly points: readonly { readonly x: number; readonly y: number }[];
}

export interface Chart {
  readonly title: string;
  readonly xLabel: string;
  readonly series: readonly Series[];
}

const width = 440;
const height = 320;
const margin = { top: 34, right: 18, bottom: 46, left: 62 };
const legendRow = 18;
/** Told apart by those who see colours differently too (Okabe and Ito). */
const colours = ['#0072b2', '#e69f00', '#009e73', '#cc79a7', '#d55e00', '#56b4e9'];

/** The charts side by side above one legend; a series has the same colour in each. */
export function svgOf(charts: readonly Chart[]): string {
  const names = [...new Set(charts.flatMap(({ series }) => series.map(({ name }) => name)))];
  const perRow = 3;
  const legendHeight = Math.ceil(names.length / perRow) * legendRow + 10;
  const all = { width: width * charts.length, height: height + legendHeight };
  const style = [
    'text{font:12px system-ui,sans-serif;fill:#1f2328}.title{font-weight:600;font-size:14px}.grid{stroke:#d1d9e0;stroke-width:1}',
    '@media(prefers-color-scheme:dark){text{fill:#e6edf3}.grid{stroke:#3d444d}}',
  ].join('');
  const drawn = charts.map(
    (chart, i) => `<g transform="translate(${i * width} 0)">${draw(chart, names)}</g>`,
  );
  const legend = names.map((name, i) => {
    const x = margin.left + (i % perRow) * 180;
    const y = height + Math.floor(i / perRow) * legendRow + 8;
    const line = `<line x1="${x}" y1="${y}" x2="${x + 22}" y2="${y}" stroke="${colourOf(i)}" stroke-width="2.5"/>`;
    return `${line}<text x="${x + 28}" y="${y + 4}">${escapeXml(name)}</text>`;
  });
  const label = escapeXml(charts.map(({ title }) => title).join('; '));
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${all.width} ${all.height}" width="${all.width}" height="${all.height}" role="img" aria-label="${label}">`,
    `<style>${style}</style>`,
    ...drawn,
    ...legend,
    '</svg>',
    '',
  ].join('\n');
}

function draw({ title, xLabel, series }: Chart, names: readonly string[]): string {
  const points = series.flatMap((one) => one.points);
  const xs = [...new Set(points.map(({ x }) => x))].sort((a, b) => a - b);
  const x = scale(xs[0] ?? 1, xs.at(-1) ?? 1, margin.left, width - margin.right);
  const decades = decadesAround(points.map((point) => point.y));
  const y = scale(decades[0] ?? 1, decades.at(-1) ?? 1, height - margin.bottom, margin.top);
  const grid = decades.map((value) => {
    const at = round(y(value));
    const line = `<line class="grid" x1="${margin.left}" y1="${at}" x2="${width - margin.right}" y2="${at}"/>`;
    return `${line}<text x="${margin.left - 8}" y="${at + 4}" text-anchor="end">${value.toLocaleString('en')}</text>`;
  });
  const ticks = xs.map((value) => {
    const place = `x="${round(x(value))}" y="${height - margin.bottom + 18}"`;
    return `<text ${place} text-anchor="middle">${value.toLocaleString('en')}</text>`;
  });
  const lines = series.map(({ name, points: own }) => {
    const colour = colourOf(names.indexOf(name));
    const path = own.map((point) => `${round(x(point.x))},${round(y(point.y))}`);
    const dots = path.map((at) => {
      const [cx, cy] = at.split(',');
      return `<circle cx="${cx}" cy="${cy}" r="3.5" fill="${colour}"/>`;
    });
    return `<polyline points="${path.join(' ')}" fill="none" stroke="${colour}" stroke-width="2.5"/>${dots.join('')}`;
  });
  const middle = (margin.left + width - margin.right) / 2;
  return [
    `<text class="title" x="${margin.left}" y="20">${escapeXml(title)}</text>`,
    ...grid,
    ...ticks,
    `<text x="${middle}" y="${height - 10}" text-anchor="middle">${escapeXml(xLabel)}</text>`,
    ...lines,
  ].join('\n');
}

/** From a value's logarithm to its place. */
function scale(from: number, to: number, start: number, end: number): (value: number) => number {
  const span = Math.log(to) - Math.log(from) || 1;
  return (value) => start + ((Math.log(value) - Math.log(from)) / span) * (end - start);
}

function decadesAround(values: readonly number[]): number[] {
  const first = Math.floor(Math.log10(Math.min(...values)));
  const last = Math.max(Math.ceil(Math.log10(Math.max(...values))), first + 1);
  return Array.from({ length: last - first + 1 }, (_, i) => Number(`1e${first + i}`));
}

function colourOf(i: number): string {
  return colours[i % colours.length] ?? '#888';
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

function escapeXml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;');
}
