/** Following a task whose end was among the events that its host had to drop. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type PrivateBroker, startPrivateBroker } from '../../../rabbitmq/private-broker.ts';
import { type Client, connect, type Task } from '../../../src/client/client.ts';
import { startDaemon, type TestDaemon } from '../../lib/daemon.ts';
import { startTcpProxy, type TcpProxy } from '../../lib/tcp-proxy.ts';
import { until } from '../../lib/until.ts';

let broker: PrivateBroker;
let proxy: TcpProxy;
let daemon: TestDaemon;
let client: Client;

before(async () => {
  broker = await startPrivateBroker();
  proxy = await startTcpProxy(broker.url);
  const env = { HOSTBUS_EVENTS_BUFFER_MAX: '3' };
  daemon = await startDaemon({ hostId: 'h1', brokerUrl: proxy.url, testVerbs: true, env });
  client = await connect(broker.url);
});

after(async () => {
  await client?.close();
  await daemon?.kill();
  await proxy?.[Symbol.asyncDispose]();
  await broker?.stop();
});

test('whoever follows is told of the end all the same, though the client was never away', async () => {
  const h1 = client.host('h1');
  await h1.callUntyped('work', { ms: 1000, answerAfter: 1 }, { taskId: 'followed' });
  const seen: Task[] = [];
  const following = (async () => {
    for await (const task of h1.task('followed').follow({ timeout: 60_000 })) seen.push(task);
  })();
  await until('it is followed', () => seen.length > 0);
  assert.equal(seen[0]?.state, 'running');
  // It tells of its progress long after the other's end, which is then among what the buffer could not keep.
  await h1.callUntyped('work', { ms: 4000, answerAfter: 1, steps: 40 }, { taskId: 'talkative' });
  proxy.cut();
  const ended = (taskId: string) =>
    daemon.log.some((line) => line.msg === 'task ended' && line.taskId === taskId);
  await until('both have ended', () => ended('followed') && ended('talkative'));
  proxy.mend();
  await following;
  assert.equal(seen.at(-1)?.state, 'succeeded');
  const { events } = await h1.call('getHostStats', {});
  assert.ok(events.dropped > 0, 'events were dropped');
});
