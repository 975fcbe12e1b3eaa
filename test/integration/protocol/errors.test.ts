/** Every error of the contract's section 4 that the core can give: code, name, the fields of `data`, and nothing that leaks. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Compile } from 'typebox/compile';
import { errorTable } from '../../../schemas/errors.ts';
import { Task } from '../../../schemas/task.ts';
import { useBus } from './bus.ts';
import type { RpcErrorObject, RpcResponse } from './raw-client.ts';

const isTask = Compile(Task);

describe('errors', () => {
  const bus = useBus({ HOSTBUS_ACCESS_USERS: 'launcher=admin', HOSTBUS_TASKS_RETENTION: '1h' });

  const exchange = async (body: string | Buffer) => {
    const response = (await bus.client.exchange('h1', body)) as RpcResponse;
    assert.ok(response.error);
    return response.error;
  };
  const call = (method: string, params?: unknown, id?: unknown) => bus.client.error('h1', method, params, id);

  const cases: {
    name: keyof typeof errorTable;
    code: number;
    provoke: () => Promise<RpcErrorObject>;
    data: (data: Record<string, unknown>) => void;
  }[] = [
    { name: 'ParseError', code: -32700, provoke: () => exchange('{"a":'), data: () => {} },
    { name: 'InvalidRequest', code: -32600, provoke: () => exchange('{"jsonrpc":"2.0"}'), data: () => {} },
    {
      name: 'MethodNotFound',
      code: -32601,
      provoke: () => call('no.such', {}),
      data: (data) => assert.equal(data.method, 'no.such'),
    },
    {
      name: 'InvalidParams',
      code: -32602,
      provoke: () => call('getTaskStatus', { taskId: 5 }),
      data: ({ errors }) => {
        const [first] = errors as { path: string; message: string }[];
        assert.equal(first?.path, '/taskId');
        assert.equal(typeof first.message, 'string');
      },
    },
    {
      name: 'InternalError',
      code: -32603,
      provoke: () => call('work', { ms: 0, fail: 'TypeError' }, 'internal'),
      data: () => {},
    },
    {
      name: 'TaskIdInUse',
      code: -32001,
      provoke: async () => {
        bus.client.start('h1', 'work', { ms: 60_000 }, 'in-use');
        return call('ping', {}, 'in-use');
      },
      data: ({ task }) => {
        assert.ok(isTask.Check(task));
        assert.equal(task.taskId, 'in-use');
      },
    },
    {
      name: 'TaskNotFound',
      code: -32002,
      provoke: () => call('getTaskStatus', { taskId: 'nowhere' }),
      data: ({ taskId, bootId }) => {
        assert.equal(taskId, 'nowhere');
        assert.equal(bootId, bus.daemon.log[0]?.bootId);
      },
    },
    {
      name: 'Overloaded',
      code: -32003,
      provoke: async () => {
        await bus.startHost('small', { HOSTBUS_TASKS_MAX: '1' });
        bus.client.start('small', 'work', { ms: 60_000 }, 'fills');
        return bus.client.error('small', 'work', { ms: 0 }, 'one-too-many');
      },
      data: ({ limit, retryAfter }) => {
        assert.equal(limit, 1);
        assert.ok(Number.isInteger(retryAfter) && Number(retryAfter) > 0);
      },
    },
    {
      name: 'TaskEnded',
      code: -32004,
      provoke: async () => {
        await bus.client.result('h1', 'work', { ms: 0 }, 'ended');
        return call('cancelTask', { taskId: 'ended' });
      },
      data: ({ task }) => {
        assert.ok(isTask.Check(task));
        assert.deepEqual([task.taskId, task.state], ['ended', 'succeeded']);
      },
    },
    {
      name: 'NotAllowed',
      code: -32005,
      provoke: () => call('danger', { ms: 0 }),
      data: ({ user, method }) => assert.deepEqual([user ?? null, method], [null, 'danger']),
    },
    {
      name: 'RequestTooLarge',
      code: -32006,
      provoke: () => exchange(Buffer.alloc(1_048_577, 0x20)),
      data: ({ limit, size }) => assert.deepEqual([limit, size], [1_048_576, 1_048_577]),
    },
    {
      name: 'NotCancellable',
      code: -32007,
      provoke: () => {
        bus.client.start('h1', 'stubborn', { ms: 500 }, 'stubborn');
        return call('cancelTask', { taskId: 'stubborn' });
      },
      data: ({ method }) => assert.equal(method, 'stubborn'),
    },
    {
      name: 'Cancelled',
      code: -32008,
      provoke: async () => {
        const sent = bus.client.start('h1', 'work', { ms: 60_000 }, 'cancelled');
        await bus.client.result('h1', 'cancelTask', { taskId: 'cancelled' });
        const { content } = await bus.client.answer(sent);
        return (JSON.parse(content.toString()) as { error: RpcErrorObject }).error;
      },
      data: ({ taskId }) => assert.equal(taskId, 'cancelled'),
    },
    {
      name: 'DomainNotFound',
      code: 1001,
      provoke: () => call('getStorageDomainStatus', { domainId: '00000000-0000-4000-8000-000000000000' }),
      data: ({ domainId }) => assert.equal(domainId, '00000000-0000-4000-8000-000000000000'),
    },
    {
      name: 'InvalidPath',
      code: 1011,
      provoke: () =>
        call('createStorageDomain', { domainId: '00000000-0000-4000-8000-000000000000', path: '/etc' }),
      data: ({ path }) => assert.equal(path, '/etc'),
    },
  ];

  for (const { name, code, provoke, data } of cases) {
    test(`${name} has code ${code}, its name, its data, and leaks nothing.`, async () => {
      const error = await provoke();
      assert.equal(error.code, code);
      assert.equal(error.data.name, name);
      assert.equal(errorTable[name].code, code);
      assert.ok(error.message.length > 5);
      data(error.data);
      const text = JSON.stringify(error);
      assert.doesNotMatch(text, /\.ts\b|node_modules|at \w+ \(|\/secret|TypeError|\/src\//);
    });
  }

  test('Every error of the core has a case here.', () => {
    const core = Object.entries(errorTable).filter(([, { code }]) => code < 0);
    const covered = new Set<string>(cases.map(({ name }) => name));
    assert.deepEqual(
      core.map(([name]) => name).filter((name) => !covered.has(name)),
      [],
    );
  });

  test('What a defect of the daemon was stands in its log, under the task.', async () => {
    await call('work', { ms: 0, fail: 'TypeError' }, 'defect');
    const line = bus.daemon.log.find((one) => one.taskId === 'defect' && 'err' in one);
    assert.match(JSON.stringify(line?.err), /a defect of \/secret\/path/);
    const task = await bus.client.result<Task>('h1', 'getTaskStatus', { taskId: 'defect' });
    assert.equal(task.error?.code, -32603);
    assert.doesNotMatch(JSON.stringify(task), /secret|stack/);
  });

  test('A user whom the broker verified has the level that the configuration gives; nobody has less.', async () => {
    const allowed = await bus.client.rpc('h1', 'danger', { ms: 0 }, 'dangerous', { userId: 'launcher' });
    assert.deepEqual(allowed.result, { worked: 0 });
    const task = await bus.client.result<Task>('h1', 'getTaskStatus', { taskId: 'dangerous' });
    assert.equal(task.user, 'launcher');
    await bus.startHost('closed', {
      HOSTBUS_ACCESS_ANONYMOUS: 'none',
      HOSTBUS_ACCESS_USERS: 'launcher=read',
    });
    const nobody = await bus.client.error('closed', 'ping');
    assert.deepEqual([nobody.code, nobody.data.method], [-32005, 'ping']);
    const reader = (method: string, params: object) =>
      bus.client.rpc('closed', method, params, 'r', { userId: 'launcher' });
    assert.equal((await reader('ping', {})).error, undefined);
    const refused = (await reader('work', { ms: 0 })).error;
    assert.deepEqual([refused?.code, refused?.data.user], [-32005, 'launcher']);
    // Who may not call a verb is not told whether its parameters or the task exist.
    assert.equal((await reader('cancelTask', { taskId: 'x' })).error?.code, -32005);
  });

  test('Names of methods that objects have by birth are unknown methods.', async () => {
    for (const method of [
      '__proto__',
      'constructor',
      'toString',
      'hasOwnProperty',
      '',
      'rpc.',
      'x'.repeat(5000),
    ]) {
      const error = await call(method, {});
      assert.deepEqual([error.code, error.data.name], [-32601, 'MethodNotFound']);
    }
  });
});
