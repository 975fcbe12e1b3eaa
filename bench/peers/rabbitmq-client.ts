/** rabbitmq-client with its own RPC: `createConsumer` and `reply`, `createRPCClient` with confirms as its documentation has it. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Connection } from 'rabbitmq-client';
import { eventData, eventKey, eventsExchange, type Peer, runPeer } from './program.ts';

const queue = 'bench.rabbitmq-client';

const rabbitmqClient: Peer = {
  async serve(url) {
    const connection = new Connection({ url, noDelay: true });
    const consumer = connection.createConsumer(
      { queue, queueOptions: { exclusive: true, durable: false }, qos: { prefetchCount: 20_000 } },
      async (request, reply) => {
        if (request.body.ms !== undefined) await sleep(request.body.ms);
        await reply({ text: request.body.text });
      },
    );
    await new Promise<void>((resolve) => void consumer.once('ready', resolve));
    const publisher = connection.createPublisher({ confirm: true });
    const exchange = `${eventsExchange}.rabbitmq-client`;
    await connection.exchangeDeclare({ exchange, type: 'topic', durable: false });
    return {
      async publish(count) {
        const callers = Array.from({ length: 500 }, async (_, caller) => {
          for (let done = caller; done < count; done += 500) {
            await publisher.send({ exchange, routingKey: eventKey }, eventData);
          }
        });
        await Promise.all(callers);
      },
    };
  },
  async connect(url) {
    const connection = new Connection({ url, noDelay: true });
    const client = connection.createRPCClient({ confirm: true, timeout: 600_000 });
    const call = async (body: object) => (await client.send(queue, body)).body;
    await call({ text: '' });
    return {
      echo: (text) => call({ text }),
      sleep: (ms) => call({ ms }),
      async subscribe(onEvent) {
        const exchange = `${eventsExchange}.rabbitmq-client`;
        const consumer = connection.createConsumer(
          {
            queueOptions: { exclusive: true, durable: false },
            qos: { prefetchCount: 500 },
            queueBindings: [{ exchange, routingKey: 'bench.#' }],
          },
          async () => onEvent(),
        );
        await new Promise<void>((resolve) => void consumer.once('ready', resolve));
      },
    };
  },
};

await runPeer(rabbitmqClient);
