/** Moleculer with its AMQP transporter, tuned: prefetch 20,000 (its default is 1), no metrics, no validator, no Nagle. */
import { setTimeout as sleep } from 'node:timers/promises';
import moleculer from 'moleculer';
import { eventData, type Peer, runPeer } from './program.ts';

const longMs = 600_000;

function brokerOf(url: string, nodeID: string) {
  // Its types do not show socketOptions.
  const options = { url, prefetch: 20_000, socketOptions: { noDelay: true } };
  return new moleculer.ServiceBroker({
    nodeID,
    transporter: { type: 'AMQP', options },
    logger: false,
    metrics: false,
    tracing: false,
    validator: false,
    requestTimeout: longMs,
  });
}

/** How many nodes the server tells its events. */
async function knownSubscribers(broker: InstanceType<typeof moleculer.ServiceBroker>): Promise<number> {
  const options = { nodeID: 'bench-server' };
  const events = (await broker.call('$node.events', { withEndpoints: true }, options)) as {
    name: string;
    endpoints?: unknown[];
  }[];
  return events.find(({ name }) => name === 'bench.event')?.endpoints?.length ?? 0;
}

const peer: Peer = {
  async serve(url) {
    const broker = brokerOf(url, 'bench-server');
    broker.createService({
      name: 'bench',
      actions: {
        echo: ({ params }: { params: { text: string } }) => ({ text: params.text }),
        sleep: async ({ params }: { params: { ms: number } }) => void (await sleep(params.ms)),
      },
    });
    await broker.start();
    return {
      // Nothing tells when the message broker has them.
      publish: async (count) => {
        for (let done = 0; done < count; done += 1) await broker.broadcast('bench.event', eventData);
      },
    };
  },
  async connect(url) {
    const broker = brokerOf(url, 'bench-client');
    await broker.start();
    await broker.waitForServices('bench');
    let subscribers = 0;
    return {
      echo: (text) => broker.call('bench.echo', { text }),
      sleep: (ms) => broker.call('bench.sleep', { ms }),
      // A node has one queue for all its events: each subscriber is a node.
      async subscribe(onEvent) {
        subscribers += 1;
        const node = brokerOf(url, `bench-subscriber-${subscribers}`);
        node.createService({ name: 'subscriber', events: { 'bench.event': () => onEvent() } });
        await node.start();
        // What is told before the server knows of the node is lost for it.
        while ((await knownSubscribers(broker)) < subscribers) await sleep(10);
      },
    };
  },
};

await runPeer(peer);
