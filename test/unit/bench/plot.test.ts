/** The plots that benchmarks draw. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { svgOf } from '../../../bench/plot.ts';
import { parseXml } from '../../../src/lib/xml.ts';

test('A plot is XML, has each point of each series, larger values higher, on logarithmic axes.', () => {
  const points = [
    { x: 1, y: 10 },
    { x: 10, y: 100 },
    { x: 100, y: 1000 },
  ];
  const series = [
    { name: 'one', points },
    { name: 'a < "b"', points: [{ x: 1, y: 25 }] },
  ];
  const chart = { title: 'Calls & events', xLabel: 'in flight', series };
  const svg = parseXml(svgOf([chart, chart]));
  assert.match(svg.attributes.get('aria-label') ?? '', /Calls & events/);
  assert.match(svg.text('style'), /prefers-color-scheme:dark/);
  assert.deepEqual(
    svg.all('text').map(({ ownText }) => ownText),
    ['one', 'a < "b"'],
  );
  const [group] = svg.all('g');
  const at = (name: string) => group?.all('circle').map(({ attributes }) => Number(attributes.get(name)));
  const [x = [], y = []] = [at('cx'), at('cy')];
  assert.equal(x.length, 4);
  assert.ok(Math.abs((x[0] ?? 0) + (x[2] ?? 0) - 2 * (x[1] ?? 0)) < 0.3, 'equal steps to the right');
  assert.ok(Math.abs((y[0] ?? 0) + (y[2] ?? 0) - 2 * (y[1] ?? 0)) < 0.3, 'equal steps up');
  assert.ok((y[1] ?? 0) < (y[3] ?? 0) && (y[3] ?? 0) < (y[0] ?? 0));
});
