import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Task } from '../../../schemas/task.ts';
import { textWidth } from '../../../src/cli/text.ts';
import { frame, type Look } from '../../../src/cli/top/frame.ts';
import { View } from '../../../src/cli/top/view.ts';
import type { HostEvent } from '../../../src/client/types.ts';
import { taskOf } from './fake-bus.ts';

const look: Look = { sort: 'host', offset: 0, list: 'hosts', awayMs: undefined };

const stats = (running: number, load: number) => ({
  uptime: 10,
  rss: 1e8,
  cpuSeconds: 1,
  loadAverage: [load, 0, 0],
  tasks: { queued: 0, running, retained: 0, accepted: 0, refused: 0 },
  events: { published: 0, buffered: 0, dropped: 0 },
  broker: { reconnects: 0 },
});

const eventOf = (hostId: string, sequence: number, fields: Partial<HostEvent> = {}): HostEvent => ({
  hostId,
  kind: 'host',
  event: 'heartbeat',
  id: hostId,
  bootId: 'boot1',
  sequence,
  time: '2026-01-01T00:00:00.000Z',
  data: stats(sequence, sequence),
  ...fields,
});

const taskEvent = (sequence: number, task: Task, event: string = task.state) =>
  eventOf(task.hostId, sequence, { kind: 'task', event, id: task.taskId, data: task });

const texts = (view: View, rows: number, columns: number, more: Partial<Look> = {}) =>
  frame(view, { rows, columns }, { ...look, ...more }).map(({ text }) => text);

test('Hundreds of hosts: those that fit are shown, and how many are not', () => {
  const view = new View();
  for (let n = 1; n <= 300; n += 1) view.take(eventOf(`host-${n}`, n));
  for (let n = 1; n <= 50; n += 1)
    view.take(taskEvent(1000 + n, taskOf({ hostId: 'host-1', taskId: `t${n}` })));
  const lines = texts(view, 24, 79);
  assert.equal(lines.length, 24);
  assert.match(lines[2] ?? '', /^host-1 /);
  assert.match(lines[3] ?? '', /^host-2 /);
  const shown = lines.filter((line) => /^host-\d+ +\d+ s/.test(line)).length;
  assert.ok(lines.includes(`… ${300 - shown} below: of 300 hosts`), lines.join('\n'));
  assert.ok(lines.some((line) => /^… \d+ below: of 50 tasks$/.test(line)));
  assert.match(texts(view, 24, 79, { sort: 'tasks' })[2] ?? '', /^host-300 /);
  const scrolled = texts(view, 24, 79, { offset: 299 });
  assert.match(scrolled[2] ?? '', /^host-300 /);
  assert.ok(scrolled.includes('… 299 above: of 300 hosts'), scrolled.join('\n'));
});

test('No picture is larger than the terminal, whatever is in it', () => {
  const view = new View();
  for (const id of ['h1', 'h2', 'h3']) view.take(eventOf(id, 1));
  const odd = [
    '漢字漢字漢字漢字',
    '\x1b[2J\x07\r\n',
    '👩‍👩‍👧‍👦'.repeat(20),
    '\u202eabc',
    'e\u0301'.repeat(50),
  ];
  for (const [n, taskId] of odd.entries()) {
    const progress = { done: 1e9, total: 4e9, unit: 'bytes' };
    view.take(taskEvent(n + 2, taskOf({ taskId, phase: 'copying\x9b31m', progress })));
  }
  for (let rows = 1; rows < 30; rows += 1)
    for (const columns of [1, 2, 5, 10, 39, 79, 200]) {
      const lines = texts(view, rows, columns, { awayMs: rows % 2 ? 5000 : undefined });
      assert.ok(lines.length <= rows, `${lines.length} of ${rows}`);
      for (const line of lines) {
        assert.ok(textWidth(line) <= columns, `${line}: ${columns}`);
        assert.doesNotMatch(line, /[\x00-\x1f\x7f-\x9f\u202e]/);
      }
    }
});

test('A host is asked when it is first heard of, after a gap, and after a restart', () => {
  const view = new View();
  assert.equal(view.take(eventOf('h1', 7)), true);
  assert.equal(view.take(eventOf('h1', 8)), false);
  assert.equal(view.take(eventOf('h1', 10)), true);
  view.take(taskEvent(11, taskOf({ taskId: 'a' })));
  assert.equal(view.tasks.size, 1);
  assert.equal(view.take(eventOf('h1', 12, { bootId: 'boot2' })), true);
  assert.equal(view.tasks.size, 0, 'a restarted daemon has forgotten its tasks');
});

test('An answer that is older than an end does not bring the task back; a later task of that ID is shown', () => {
  const view = new View();
  const task = taskOf({ taskId: 'a' });
  view.take(taskEvent(1, { ...task, state: 'succeeded' }));
  view.answered('h1', 'boot1', stats(1, 0), [task]);
  assert.equal(view.tasks.size, 0);
  view.answered('h1', 'boot1', stats(1, 0), [{ ...task, createdAt: '2026-01-02T00:00:00.000Z' }]);
  assert.equal(view.tasks.size, 1);
  view.answered('h1', 'boot1', stats(0, 0), []);
  assert.equal(view.tasks.size, 0, 'what the host no longer has is gone');
});

test('Events that are not what they should be do no harm', () => {
  const view = new View();
  for (const data of [
    undefined,
    null,
    5,
    {},
    { tasks: 5 },
    { loadAverage: ['x'] },
    { taskId: 5, state: 'running' },
  ])
    for (const kind of ['host', 'task', 'image', 'domain', 'operation', 'odd'])
      view.take(eventOf('h1', 1, { kind, event: 'started', data }));
  view.take(eventOf('h1', 2, { data: { ...stats(1, 1), loadAverage: ['x'] } }));
  assert.ok(texts(view, 24, 79).some((line) => /^h1 /.test(line)));
  assert.equal(view.tasks.size, 0);
});
