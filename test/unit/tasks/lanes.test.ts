import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Lanes } from '../../../src/tasks/lanes.ts';

/** Runs tasks of these users in a lane that lets one in at a time; returns the order in which they ran. */
async function orderOf(users: string[]): Promise<string[]> {
  const lanes = new Lanes({ read: 1, change: 1, copy: 1 });
  const order: string[] = [];
  const work = users.map((user, i) => {
    const { promise, resolve } = Promise.withResolvers<void>();
    lanes.run('copy', 'domain', user, async () => {
      order.push(`${user}${i}`);
      resolve();
    });
    return promise;
  });
  await Promise.all(work);
  return order;
}

test('Users take turns: whoever has thousands waiting holds nobody else up.', async () => {
  const order = await orderOf([
    ...Array.from({ length: 2000 }, () => 'greedy'),
    'modest',
    'modest',
    'modest',
  ]);
  const places = order.flatMap((name, place) => (name.startsWith('modest') ? [place] : []));
  assert.ok((places.at(-1) ?? Number.POSITIVE_INFINITY) < 10, places.join());
});

test('The tasks of one user run in the order of their coming.', async () => {
  const users = Array.from({ length: 60 }, (_, i) => (i % 3 === 0 ? 'a' : 'b'));
  const order = await orderOf(users);
  for (const user of ['a', 'b']) {
    const own = order.filter((name) => name.startsWith(user)).map((name) => Number(name.slice(1)));
    assert.deepEqual(
      own,
      own.toSorted((a, b) => a - b),
    );
  }
});

test('Whoever comes back again and again does not keep those out who came once.', async () => {
  const lanes = new Lanes({ read: 1, change: 1, copy: 1 });
  const order: string[] = [];
  const crowd = Promise.withResolvers<void>();
  let left = 50;
  const again = async () => {
    order.push('again');
    if (left > 0) lanes.run('copy', 'domain', 'again', again);
  };
  lanes.run('copy', 'domain', 'again', again);
  for (let i = 0; i < 50; i += 1) {
    lanes.run('copy', 'domain', 'crowd', async () => {
      order.push('crowd');
      left -= 1;
      if (left === 0) crowd.resolve();
    });
  }
  await crowd.promise;
  const turns = order.filter((name) => name === 'again').length;
  assert.ok(turns <= 52, `${turns} turns against 50`);
});
