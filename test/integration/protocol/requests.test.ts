/** What a request may look like: ids, parameters, batches, sizes, headers. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Task } from '../../../schemas/task.ts';
import { useBus } from './bus.ts';
import type { RpcResponse } from './raw-client.ts';

const emoji = '🧪';

describe('requests', () => {
  const bus = useBus();

  for (const [what, id] of [
    ['an integer', 7],
    ['zero', 0],
    ['a negative integer', -12],
    ['the largest safe integer', Number.MAX_SAFE_INTEGER],
    ['a string of one character', 'x'],
    ['a string of 128 characters', 'x'.repeat(128)],
    ['128 emoji: characters, not UTF-16 units or bytes', emoji.repeat(128)],
    ['blanks, quotes, slashes, dots and wildcards', ' "a"/\\b. *#%\u00a0'],
    ['the name of a member that every object has', '__proto__'],
    ['another such name', 'constructor'],
  ] as const) {
    test(`An id may be ${what}, and is answered as it was sent.`, async () => {
      const { client } = bus;
      const response = await client.rpc('h1', 'work', { ms: 0 }, id);
      assert.deepEqual(response, { jsonrpc: '2.0', id, result: { worked: 0 } });
      const task = await client.result<Task>('h1', 'getTaskStatus', { taskId: String(id) });
      assert.equal(task.taskId, String(id));
    });
  }

  for (const [what, id] of [
    ['null', 'null'],
    ['a fraction', '1.5'],
    ['a number beyond all numbers', '1e999'],
    ['true', 'true'],
    ['an array', '["a"]'],
    ['an object', '{"a":1}'],
    ['empty', '""'],
    ['129 characters long', JSON.stringify('x'.repeat(129))],
    ['129 emoji long', JSON.stringify(emoji.repeat(129))],
    ['of unprintable characters', '"a\\u0000b"'],
    ['half a surrogate pair', '"\\ud83e"'],
  ] as const) {
    test(`An id that is ${what} gets -32600 with a null id, and nothing runs.`, async () => {
      const { client } = bus;
      const before = await accepted();
      const body = `{"jsonrpc":"2.0","method":"work","params":{"ms":0},"id":${id}}`;
      const response = (await client.exchange('h1', body)) as RpcResponse;
      assert.equal(response.error?.code, -32600);
      assert.equal(response.error.data.name, 'InvalidRequest');
      assert.equal(response.id, null);
      assert.equal(await accepted(), before);
    });
  }

  async function accepted(): Promise<number> {
    return (await bus.client.result<{ tasks: { accepted: number } }>('h1', 'getHostStats')).tasks.accepted;
  }

  test('7 and "7" are the same task.', async () => {
    const { client } = bus;
    const first = client.start('h1', 'work', { ms: 60_000 }, 7);
    const error = await client.error('h1', 'ping', {}, '7');
    assert.equal(error.code, -32001);
    await client.result('h1', 'cancelTask', { taskId: '7' });
    const answer = JSON.parse((await client.answer(first)).content.toString()) as RpcResponse;
    assert.equal(answer.id, 7);
  });

  test('A notification runs under an ID that the daemon makes, and is not answered.', async () => {
    const { client } = bus;
    const sent = client.send('h1', { jsonrpc: '2.0', method: 'stubborn', params: { ms: 1 } });
    const list = () =>
      client.result<{ tasks: Task[] }>('h1', 'listTasks', { methods: ['stubborn'] }).then((r) => r.tasks);
    const [task] = await list();
    assert.match(task?.taskId ?? '', /^[\w-]{21}$/);
    const ended = await client.result<Task>('h1', 'waitTask', { taskId: task?.taskId });
    assert.equal(ended.state, 'succeeded');
    assert.equal(ended.answered, false);
    assert.equal(client.hasAnswer(sent), false);
  });

  test('Unknown parameters are refused, by name with a JSON pointer.', async () => {
    const error = await bus.client.error('h1', 'subtract', { minuend: 1, subtrahend: 1, 'a/b~c': 1 });
    assert.equal(error.code, -32602);
    assert.deepEqual(
      (error.data.errors as { path: string }[]).map(({ path }) => path),
      ['/a~1b~0c'],
    );
  });

  for (const [what, params] of [
    ['too many by position', [1, 2, 3]],
    ['too few by position', [1]],
    ['of the wrong type by position', [1, 'two']],
    ['of the wrong type', { minuend: '1', subtrahend: null }],
    ['missing', undefined],
    ['named __proto__', JSON.parse('{"minuend":1,"subtrahend":1,"__proto__":{"a":1}}') as object],
    ['named constructor', { minuend: 1, subtrahend: 1, constructor: 1 }],
  ] as const) {
    test(`Parameters that are ${what} get -32602 with a list of what is wrong.`, async () => {
      const error = await bus.client.error('h1', 'subtract', params);
      assert.equal(error.code, -32602);
      const errors = error.data.errors as { path: unknown; message: unknown }[];
      assert.ok(errors.length > 0);
      for (const { path, message } of errors) {
        assert.match(String(path), /^(\/.*)?$/);
        assert.ok(String(message).length > 0);
      }
    });
  }

  for (const params of ['null', '"bar"', '1', 'true']) {
    test(`"params": ${params} is no request.`, async () => {
      const body = `{"jsonrpc":"2.0","method":"ping","params":${params},"id":"p"}`;
      const response = (await bus.client.exchange('h1', body)) as RpcResponse;
      assert.equal(response.error?.code, -32600);
    });
  }

  for (const body of ['null', '1', '"x"', 'true', '{}', '{"jsonrpc":"1.0","method":"ping","id":1}']) {
    test(`The body ${body} is no request.`, async () => {
      const response = (await bus.client.exchange('h1', body)) as RpcResponse;
      assert.equal(response.error?.code, -32600);
    });
  }

  for (const [what, body] of [
    ['no byte', Buffer.alloc(0)],
    ['invalid UTF-8', Buffer.from('7b226964223a22ff227d', 'hex')],
    ['UTF-16', Buffer.from('{"jsonrpc":"2.0","method":"ping","id":1}', 'utf16le')],
    ['two values', Buffer.from('{} {}')],
  ] as const) {
    test(`A body of ${what} gets -32700.`, async () => {
      const response = (await bus.client.exchange('h1', body)) as RpcResponse;
      assert.deepEqual(
        [response.error?.code, response.error?.data.name, response.id],
        [-32700, 'ParseError', null],
      );
    });
  }

  test('64 levels of nesting are read, 65 are not; brackets in strings do not count.', async () => {
    const { client } = bus;
    const nested = (levels: number) => {
      const inner = '['.repeat(levels - 2) + ']'.repeat(levels - 2);
      return `{"jsonrpc":"2.0","method":"echo","params":{"text":${inner}},"id":"nest"}`;
    };
    const read = (await client.exchange('h1', nested(64))) as RpcResponse;
    assert.equal(read.error?.code, -32602, 'it was read, and its parameter is of the wrong type');
    const refused = (await client.exchange('h1', nested(65))) as RpcResponse;
    assert.deepEqual([refused.error?.code, refused.id], [-32700, null]);
    const text = `"${'['.repeat(200)}\\"${'{'.repeat(200)}`;
    assert.deepEqual(await client.result('h1', 'echo', { text }), { text });
  });

  test('A body of 1 MiB is read; one byte more gets -32006 with limit and size.', async () => {
    const { client } = bus;
    const limit = 1_048_576;
    const body = (size: number) => {
      const [head, tail] = ['{"jsonrpc":"2.0","method":"echo","params":{"text":"', '"},"id":"big"}'];
      return `${head}${'x'.repeat(size - head.length - tail.length)}${tail}`;
    };
    const read = (await client.exchange('h1', body(limit))) as RpcResponse;
    assert.equal(read.error, undefined);
    const { error, id } = (await client.exchange('h1', body(limit + 1))) as RpcResponse;
    assert.equal(error?.code, -32006);
    assert.deepEqual(error.data, { name: 'RequestTooLarge', limit, size: limit + 1 });
    assert.equal(id, null);
  });

  describe('in batches', () => {
    const entry = (id: unknown, method = 'ping', params: object = {}) => ({
      jsonrpc: '2.0',
      method,
      params,
      id,
    });
    const batch = async (entries: object[]) => (await bus.client.exchange('h1', entries)) as RpcResponse[];

    test('One entry is answered with an array of one.', async () => {
      assert.equal((await batch([entry('one')])).length, 1);
    });

    test('100 entries run; 101 get one -32600.', async () => {
      const ids = Array.from({ length: 100 }, (_, i) => `b${i}`);
      const answers = await batch(ids.map((id) => entry(id)));
      assert.deepEqual(answers.map(({ id }) => String(id)).sort(), ids.sort());
      const refused = (await bus.client.exchange(
        'h1',
        [...ids, 'x'].map((id) => entry(id)),
      )) as RpcResponse;
      assert.deepEqual([refused.error?.code, refused.id], [-32600, null]);
    });

    test('The second entry with the same ID gets -32001, even where the first is quick, and 7 is "7".', async () => {
      for (const [first, second] of [
        ['twin', 'twin'],
        [7, '7'],
      ]) {
        const answers = await batch([entry(first), entry(second)]);
        const [good, bad] = [answers.filter((a) => !a.error), answers.filter((a) => a.error)];
        assert.deepEqual([good.length, bad.length], [1, 1]);
        assert.equal(bad[0]?.error?.code, -32001);
        assert.equal((bad[0].error.data.task as Task).taskId, String(first));
      }
    });

    test('Each entry is a task of its own, and the array comes when all have answered.', async () => {
      const { client } = bus;
      const sent = client.send('h1', [
        entry('fast', 'work', { ms: 0 }),
        entry('slow', 'work', { ms: 60_000 }),
        entry(undefined, 'work', { ms: 0 }),
      ]);
      const fast = await client.result<Task>('h1', 'waitTask', { taskId: 'fast' });
      assert.deepEqual([fast.state, fast.answered], ['succeeded', false]);
      assert.equal(client.hasAnswer(sent), false);
      await client.result('h1', 'cancelTask', { taskId: 'slow' });
      const answers = JSON.parse((await client.answer(sent)).content.toString()) as RpcResponse[];
      assert.deepEqual(answers.map(({ id }) => id).sort(), ['fast', 'slow']);
      const after = await client.result<Task>('h1', 'getTaskStatus', { taskId: 'fast' });
      assert.equal(after.answered, true);
    });
  });

  describe('headers', () => {
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';

    for (const name of ['flow-id', 'ovirtCorrelationId']) {
      test(`${name} is on the task, its events and its log lines, and so is the trace.`, async () => {
        const { client, daemon } = bus;
        const events = await client.tap(`*.task.*.flow-${name}`);
        const headers = { [name]: 'flow 42', traceparent };
        await client.rpc('h1', 'work', { ms: 0 }, `flow-${name}`, { headers });
        const task = await client.result<Task>('h1', 'waitTask', { taskId: `flow-${name}` });
        assert.equal(task.flowId, 'flow 42');
        await client.result('h1', 'ping');
        const end = events.seen.at(-1)?.body;
        assert.equal(end?.type, 'hostbus.task.succeeded');
        assert.deepEqual([end.flowid, end.traceparent], ['flow 42', traceparent]);
        const line = daemon.log.find((one) => one.taskId === `flow-${name}`);
        assert.deepEqual([line?.flowId, line?.traceparent], ['flow 42', traceparent]);
      });
    }

    test('A flow ID of 128 characters is carried, emoji counted once; a longer one is refused.', async () => {
      const { client } = bus;
      const ask = (flowId: unknown) =>
        client.rpc('h1', 'work', { ms: 0 }, 'flow', { headers: { 'flow-id': flowId } });
      assert.equal((await ask(emoji.repeat(128))).error, undefined);
      assert.equal((await ask('x'.repeat(129))).error?.code, -32600);
      assert.equal((await ask(42)).error?.code, -32600);
    });

    test('A traceparent that is none is left out.', async () => {
      const { client } = bus;
      const events = await client.tap('*.task.*.traceless');
      await client.rpc('h1', 'work', { ms: 0 }, 'traceless', { headers: { traceparent: 'nonsense' } });
      await client.result('h1', 'waitTask', { taskId: 'traceless' });
      await client.result('h1', 'ping');
      assert.equal(events.seen.at(-1)?.body.traceparent, undefined);
    });
  });
});
