import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  percentOf,
  RateMeter,
  renderProgressBar,
  renderProgressText,
} from '../../../src/cli/progress-bar.ts';
import { nearest } from '../../../src/cli/suggest.ts';
import { renderPairs, renderTable } from '../../../src/cli/table.ts';
import { pad, printable, textWidth, truncate } from '../../../src/cli/text.ts';
import { formatBytes, formatSeconds, parseSize } from '../../../src/lib/units.ts';

const anyText = fc.oneof(
  fc.string({ unit: 'grapheme' }),
  fc.string({ unit: 'binary' }),
  fc.constantFrom('漢字かな交じり文', '👩‍👩‍👧 family', 'e\u0301a\u0301', '한국어', '\u001b[31mred'),
);

test('Wide, combined and joined characters have the width that terminals give them', () => {
  assert.equal(textWidth('abc'), 3);
  assert.equal(textWidth('漢字'), 4);
  assert.equal(textWidth('한국'), 4);
  assert.equal(textWidth('e\u0301'), 1);
  assert.equal(textWidth('👩‍👩‍👧'), 2);
  assert.equal(textWidth('ａ'), 2);
  assert.equal(textWidth(''), 0);
});

test('Nothing that steers a terminal gets through', () => {
  assert.equal(printable('a\u001b[31mb\nc'), 'a␛[31mb␊c');
  fc.assert(
    fc.property(anyText, (text) => {
      assert.doesNotMatch(printable(text), /[\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/);
    }),
  );
});

test('A text that is cut has at most the width asked for, and says that it was cut', () => {
  fc.assert(
    fc.property(anyText.map(printable), fc.integer({ min: 1, max: 40 }), (text, width) => {
      const cut = truncate(text, width);
      assert.ok(textWidth(cut) <= width, JSON.stringify({ text, cut, width }));
      if (textWidth(text) <= width) assert.equal(cut, text);
      else assert.ok(cut.endsWith('…'));
      assert.ok(textWidth(pad(cut, width)) === width);
    }),
  );
});

test('A table fits the terminal as long as each column can have four characters', () => {
  const rows = fc.array(fc.array(anyText, { minLength: 3, maxLength: 3 }), { maxLength: 8 });
  fc.assert(
    fc.property(rows, fc.integer({ min: 3 * 4 + 2 * 2, max: 120 }), (cells, width) => {
      const columns = [{ title: 'A' }, { title: 'B', align: 'right' as const }, { title: 'C' }];
      const lines = renderTable(columns, cells, width);
      assert.equal(lines.length, cells.length + 1);
      for (const line of lines) assert.ok(textWidth(line) <= width, line);
    }),
  );
});

test('A table for a file or a pipe is never cut', () => {
  const long = 'x'.repeat(500);
  assert.ok(renderTable([{ title: 'A' }], [[long]])[1]?.includes(long));
});

test('Columns are aligned, numbers to the right', () => {
  const lines = renderTable(
    [{ title: 'NAME' }, { title: 'SIZE', align: 'right' }, { title: 'X' }],
    [
      ['漢字', '7', 'a'],
      ['plain', '12345', ''],
    ],
  );
  assert.deepEqual(lines, ['NAME    SIZE  X', '漢字       7  a', 'plain  12345']);
});

test('Names and values are aligned', () => {
  assert.deepEqual(
    renderPairs([
      ['a', '1'],
      ['long', '2'],
    ]),
    ['a     1', 'long  2'],
  );
});

test('Sizes are shown in IEC units, without 1024 of anything', () => {
  const shown = [0, 1, 1023, 1024, 1536, 1_048_575, 1_048_576, 8_589_934_592, 2 ** 50].map(formatBytes);
  assert.deepEqual(shown, ['0 B', '1 B', '1023 B', '1 KiB', '1.5 KiB', '1 MiB', '1 MiB', '8 GiB', '1 PiB']);
  fc.assert(
    fc.property(fc.nat({ max: Number.MAX_SAFE_INTEGER }), (size) =>
      assert.doesNotMatch(formatBytes(size), /^1024/),
    ),
  );
});

test('A size that is shown exactly is read back as the same size', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 1023 }), fc.integer({ min: 0, max: 4 }), (count, power) => {
      const size = count * 1024 ** power;
      assert.equal(parseSize(formatBytes(size)), size);
    }),
  );
  assert.equal(parseSize('8EiB'), undefined, 'not exact');
  for (const wrong of ['', 'G', '-1', '1 2', '0.3', '1e3', '10 potatoes'])
    assert.equal(parseSize(wrong), undefined, wrong);
});

test('Times are short', () => {
  assert.deepEqual([0, 59.4, 60, 3599, 3600, 90_061, 200_000].map(formatSeconds), [
    '0 s',
    '59 s',
    '1:00',
    '59:59',
    '1:00:00',
    '25:01:01',
    '2 d 7 h',
  ]);
});

test('A bar fills up with the work, and is full only when all is done', () => {
  const view = { label: 'copy-42 copying', total: 4 * 1024 ** 3, unit: 'bytes', rate: 310 * 1024 ** 2 };
  assert.equal(
    renderProgressBar({ ...view, done: 2 * 1024 ** 3 }, 100),
    'copy-42 copying  [##################-------------------]  50 %  2 GiB of 4 GiB  310 MiB/s  7 s left',
  );
  assert.match(renderProgressBar({ ...view, done: view.total }, 100), /\[#+\] 100 %/);
  assert.equal(percentOf(999, 1000), 99);
  assert.equal(percentOf(9999, 10_000), 99);
  assert.equal(percentOf(5, 0), undefined);
  assert.equal(percentOf(12, 10), 100);
});

test('A bar never exceeds the terminal, whatever the task says', () => {
  const numbers = fc.oneof(fc.nat(), fc.double({ min: 0, noNaN: true }), fc.constant(0));
  const widths = fc.integer({ min: 10, max: 200 });
  fc.assert(
    fc.property(
      anyText,
      numbers,
      numbers,
      fc.option(numbers, { nil: undefined }),
      widths,
      (label, done, total, rate, width) => {
        for (const unit of ['bytes', 'steps', '\u001b[2Jrows']) {
          const bar = renderProgressBar({ label, done, total, unit, rate }, width);
          assert.ok(textWidth(bar) <= width, bar);
          assert.doesNotMatch(bar, /NaN|Infinity|\u001b/);
        }
      },
    ),
  );
});

test('Without a terminal progress is a sentence', () => {
  assert.equal(
    renderProgressText({ label: 'work-1 running', done: 3, total: 10, unit: 'steps', rate: 0.5 }),
    'work-1 running: 30 %, 3 of 10 steps, 0.5 steps/s, 14 s left',
  );
  assert.equal(
    renderProgressText({ label: 'x', done: 2048, total: 0, unit: 'bytes', rate: undefined }),
    'x: 2 KiB',
  );
});

test('A rate follows the last seconds and forgets what was before', () => {
  const meter = new RateMeter(1000);
  assert.equal(meter.perSecond, undefined);
  meter.add(0, 0);
  assert.equal(meter.perSecond, undefined);
  meter.add(500, 50);
  assert.equal(meter.perSecond, 100);
  meter.add(1500, 1050);
  meter.add(2500, 2050);
  assert.equal(meter.perSecond, 1000);
  meter.add(3000, 0);
  assert.equal(meter.perSecond, undefined, 'it started over');
});

test('A mistyped word finds its neighbour, a strange one finds none', () => {
  const names = ['copyImage', 'createImage', 'listTasks', 'ping'];
  assert.equal(nearest('copyimage', names), 'copyImage');
  assert.equal(nearest('cpoyImage', names), 'copyImage');
  assert.equal(nearest('pin', names), 'ping');
  assert.equal(nearest('shutdown', names), undefined);
  assert.equal(nearest('x', []), undefined);
});
