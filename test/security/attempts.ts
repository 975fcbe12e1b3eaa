/**
 * What each role may do on the broker and what it must not, one line each: permissions.test.ts tries them all against a real
 * broker, and docs/security.md shows the same lines.
 */
import type { Channel, ConfirmChannel, ConsumeMessage, Options } from 'amqplib';

/** What the broker answers: it does it, or closes the channel with this code. */
export type Answer = 'done' | '403' | '405' | '406';

export interface Attempt {
  readonly what: string;
  readonly answer: Answer;
  /** On a channel of its own, of a connection of the role's own user. @param named - another engine's queue that the broker named */
  run(channel: ConfirmChannel, named: string): Promise<unknown>;
}

/** Users of {@link attempts}; `h2` and `other-engine` have queues that are there meanwhile. */
export const cast = {
  hosts: ['h1', 'h2'],
  engines: ['engine', 'other-engine'],
  subscribers: ['dashboard'],
  admins: ['operator'],
};
export const othersQueues = {
  requests: 'hostbus.rpc.h2',
  replies: 'hostbus.reply.other-engine.1',
  events: 'hostbus.events.other-engine.1',
};

export async function publish(
  channel: ConfirmChannel,
  exchange: string,
  key: string,
  options?: Options.Publish,
  body = '{}',
): Promise<void> {
  channel.publish(exchange, key, Buffer.from(body), options);
  await channel.waitForConfirms();
}

/** What the daemon declares. */
export async function becomeHost(channel: Channel, hostId: string, more: object = {}): Promise<string> {
  await channel.checkExchange('hostbus.rpc');
  await channel.checkExchange('hostbus.events');
  const { queue } = await channel.assertQueue(`hostbus.rpc.${hostId}`, {
    exclusive: true,
    durable: false,
    arguments: { 'x-max-length': 1_000, 'x-overflow': 'reject-publish', ...more },
  });
  await channel.bindQueue(queue, 'hostbus.rpc', hostId);
  return queue;
}

const binding = (exchange: string, key: string) => async (channel: ConfirmChannel) => {
  const { queue } = await channel.assertQueue('', { exclusive: true });
  await channel.bindQueue(queue, exchange, key);
};
const asHost =
  (then: (channel: ConfirmChannel, queue: string) => Promise<unknown>) => async (channel: ConfirmChannel) =>
    then(channel, await becomeHost(channel, 'h1'));
const ignore = (_message: ConsumeMessage | null) => {};
const exclusive = { exclusive: true };

export const attempts: Readonly<Record<string, readonly Attempt[]>> = {
  'hostbus-h1': [
    {
      what: 'declares `hostbus.rpc.h1`, and binds it with `h1`',
      answer: 'done',
      run: (c) => becomeHost(c, 'h1'),
    },
    {
      what: 'publishes an event `h1.…`',
      answer: 'done',
      run: (c) => publish(c, 'hostbus.events', 'h1.task.started.t1'),
    },
    { what: 'answers through `amq.default`', answer: 'done', run: (c) => publish(c, '', 'amq.gen-somebody') },
    { what: 'answers through `amq.topic`', answer: 'done', run: (c) => publish(c, 'amq.topic', 'any.key') },
    { what: 'answers through `amq.direct`', answer: 'done', run: (c) => publish(c, 'amq.direct', 'any.key') },
    {
      what: 'binds its queue with the key of another host',
      answer: '403',
      run: asHost((c, queue) => c.bindQueue(queue, 'hostbus.rpc', 'h2')),
    },
    {
      what: 'binds its queue with `#`, for all requests',
      answer: '403',
      run: asHost((c, queue) => c.bindQueue(queue, 'hostbus.rpc', '#')),
    },
    {
      what: 'binds an exchange of its name with the key of another host',
      answer: '403',
      run: async (c) => {
        await c.deleteQueue('hostbus.rpc.h1');
        await c.assertExchange('hostbus.rpc.h1', 'fanout', { durable: false, autoDelete: true });
        await c.bindExchange('hostbus.rpc.h1', 'hostbus.rpc', 'h2');
      },
    },
    {
      what: 'consumes the requests of another host',
      answer: '403',
      run: (c) => c.consume(othersQueues.requests, ignore),
    },
    { what: 'gets a request of another host', answer: '403', run: (c) => c.get(othersQueues.requests) },
    {
      what: 'deletes the queue of another host',
      answer: '403',
      run: (c) => c.deleteQueue(othersQueues.requests),
    },
    {
      what: 'purges the queue of another host',
      answer: '403',
      run: (c) => c.purgeQueue(othersQueues.requests),
    },
    {
      what: 'binds the queue of another host',
      answer: '403',
      run: (c) => c.bindQueue(othersQueues.requests, 'hostbus.rpc', 'h1'),
    },
    {
      what: 'declares the queue of a host that is not there',
      answer: '403',
      run: (c) => c.assertQueue('hostbus.rpc.h3', exclusive),
    },
    { what: 'declares a queue of any other name', answer: '403', run: (c) => c.assertQueue('anything') },
    {
      what: 'declares a queue that the broker names',
      answer: '403',
      run: (c) => c.assertQueue('', exclusive),
    },
    {
      what: 'declares `hostbus.rpc`, even as it is',
      answer: '403',
      run: (c) => c.assertExchange('hostbus.rpc', 'topic', { durable: true }),
    },
    {
      what: 'declares `hostbus.events`, even as it is',
      answer: '403',
      run: (c) => c.assertExchange('hostbus.events', 'topic', { durable: true }),
    },
    { what: 'deletes `hostbus.rpc`', answer: '403', run: (c) => c.deleteExchange('hostbus.rpc') },
    { what: 'sends a request', answer: '403', run: (c) => publish(c, 'hostbus.rpc', 'h2') },
    {
      what: 'has dead requests of its queue sent to `hostbus.rpc`',
      answer: '403',
      run: async (c) => {
        await c.deleteQueue('hostbus.rpc.h1');
        await becomeHost(c, 'h1', {
          'x-dead-letter-exchange': 'hostbus.rpc',
          'x-dead-letter-routing-key': 'h2',
        });
      },
    },
    {
      what: 'publishes an event of another host',
      answer: '403',
      run: (c) => publish(c, 'hostbus.events', 'h2.task.started.t1'),
    },
    {
      what: 'publishes an event of a host whose ID begins like its own',
      answer: '403',
      run: (c) => publish(c, 'hostbus.events', 'h10.task.started.t1'),
    },
    {
      what: 'publishes an event without a host',
      answer: '403',
      run: (c) => publish(c, 'hostbus.events', 'task.started.h1.t1'),
    },
    { what: 'publishes to `amq.fanout`', answer: '403', run: (c) => publish(c, 'amq.fanout', '') },
    {
      what: 'watches events',
      answer: '403',
      run: asHost((c, queue) => c.bindQueue(queue, 'hostbus.events', '#')),
    },
    {
      what: 'reads answers that go through `amq.topic`',
      answer: '403',
      run: asHost((c, queue) => c.bindQueue(queue, 'amq.topic', '#')),
    },
    {
      what: "consumes an engine's answers",
      answer: '403',
      run: (c) => c.consume(othersQueues.replies, ignore),
    },
    {
      what: "consumes an engine's events",
      answer: '403',
      run: (c) => c.consume(othersQueues.events, ignore),
    },
    {
      what: 'publishes an event under the name of another user',
      answer: '406',
      run: (c) => publish(c, 'hostbus.events', 'h1.task.started.t1', { userId: 'operator' }),
    },
  ],
  engine: [
    {
      what: 'sends a request, with its verified name',
      answer: 'done',
      run: (c) => publish(c, 'hostbus.rpc', 'h2', { userId: 'engine' }),
    },
    {
      what: 'declares `hostbus.reply.engine.…`',
      answer: 'done',
      run: (c) => c.assertQueue('hostbus.reply.engine.1', exclusive),
    },
    {
      what: 'declares a queue that the broker names',
      answer: 'done',
      run: (c) => c.assertQueue('', exclusive),
    },
    {
      what: 'consumes direct reply-to',
      answer: 'done',
      run: (c) => c.consume('amq.rabbitmq.reply-to', ignore, { noAck: true }),
    },
    { what: 'watches the events of all hosts', answer: 'done', run: binding('hostbus.events', '#') },
    {
      what: 'sends a request under the name of another user',
      answer: '406',
      run: (c) => publish(c, 'hostbus.rpc', 'h2', { userId: 'operator' }),
    },
    {
      what: "consumes another engine's answers",
      answer: '403',
      run: (c) => c.consume(othersQueues.replies, ignore),
    },
    { what: "gets another engine's answer", answer: '403', run: (c) => c.get(othersQueues.replies) },
    {
      what: "declares a queue under another engine's name",
      answer: '403',
      run: (c) => c.assertQueue('hostbus.reply.other-engine.2', exclusive),
    },
    {
      what: "deletes another engine's queue",
      answer: '403',
      run: (c) => c.deleteQueue(othersQueues.replies),
    },
    {
      what: "sends to another engine's queue",
      answer: '403',
      run: (c) => publish(c, '', othersQueues.replies),
    },
    {
      what: 'sends a request past `hostbus.rpc`',
      answer: '403',
      run: (c) => publish(c, '', othersQueues.requests),
    },
    { what: 'listens to requests', answer: '403', run: binding('hostbus.rpc', 'h2') },
    {
      what: "consumes a host's requests",
      answer: '403',
      run: (c) => c.consume(othersQueues.requests, ignore),
    },
    {
      what: 'declares the queue of a host',
      answer: '403',
      run: (c) => c.assertQueue('hostbus.rpc.h3', exclusive),
    },
    {
      what: 'publishes an event',
      answer: '403',
      run: (c) => publish(c, 'hostbus.events', 'h1.task.started.t1'),
    },
    {
      what: 'has dead messages of its queue sent to `hostbus.events`',
      answer: '403',
      run: (c) => c.assertQueue('', { exclusive: true, deadLetterExchange: 'hostbus.events' }),
    },
    { what: 'publishes to `amq.topic`', answer: '403', run: (c) => publish(c, 'amq.topic', 'key') },
    {
      what: 'listens to `amq.topic` (may with `--topic-replies`)',
      answer: '403',
      run: binding('amq.topic', '#'),
    },
    {
      what: 'declares `hostbus.rpc`, even as it is',
      answer: '403',
      run: (c) => c.assertExchange('hostbus.rpc', 'topic', { durable: true }),
    },
    { what: 'deletes `hostbus.events`', answer: '403', run: (c) => c.deleteExchange('hostbus.events') },
  ],
  dashboard: [
    {
      what: 'declares `hostbus.events.dashboard.…`',
      answer: 'done',
      run: (c) => c.assertQueue('hostbus.events.dashboard.1', exclusive),
    },
    { what: 'watches the events of all hosts', answer: 'done', run: binding('hostbus.events', '#') },
    { what: 'sends a request', answer: '403', run: (c) => publish(c, 'hostbus.rpc', 'h2') },
    {
      what: 'sends a request past `hostbus.rpc`',
      answer: '403',
      run: (c) => publish(c, '', othersQueues.requests),
    },
    { what: 'listens to requests', answer: '403', run: binding('hostbus.rpc', 'h2') },
    {
      what: 'declares a queue for answers',
      answer: '403',
      run: (c) => c.assertQueue('hostbus.reply.dashboard.1', exclusive),
    },
    {
      what: "consumes an engine's answers",
      answer: '403',
      run: (c) => c.consume(othersQueues.replies, ignore),
    },
    {
      what: "consumes an engine's events",
      answer: '403',
      run: (c) => c.consume(othersQueues.events, ignore),
    },
    {
      what: 'publishes an event',
      answer: '403',
      run: (c) => publish(c, 'hostbus.events', 'h1.task.started.t1'),
    },
    { what: "sends to an engine's queue", answer: '403', run: (c) => publish(c, '', othersQueues.replies) },
    { what: 'publishes to `amq.topic`', answer: '403', run: (c) => publish(c, 'amq.topic', 'key') },
    { what: 'declares an exchange', answer: '403', run: (c) => c.assertExchange('anything', 'topic') },
    { what: 'deletes `hostbus.events`', answer: '403', run: (c) => c.deleteExchange('hostbus.events') },
  ],
};

const roles: Readonly<Record<string, string>> = {
  'hostbus-h1': 'host `h1`',
  engine: 'engine',
  dashboard: 'subscriber',
};
const meanings: Readonly<Record<Answer, string>> = {
  done: 'done',
  '403': '403 ACCESS_REFUSED',
  '405': '405 RESOURCE_LOCKED',
  '406': '406 PRECONDITION_FAILED',
};

/** The table of docs/security.md. */
export function attemptsTable(): string {
  const rows = Object.entries(attempts).flatMap(([user, list]) =>
    list.map(({ what, answer }) => `| ${roles[user]} | ${what} | ${meanings[answer]} |`),
  );
  return ['| who | attempts | the broker |', '| --- | --- | --- |', ...rows].join('\n');
}
