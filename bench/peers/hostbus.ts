/** hostbus itself: a daemon with the verbs of test/lib/test-host.ts, its event publisher, the client library. */
import { BrokerLink } from '../../src/bus/broker-link.ts';
import { EventPublisher } from '../../src/bus/event-publisher.ts';
import { connect } from '../../src/client/client.ts';
import { serving } from '../round-trips.ts';
import { eventData, type Peer, runPeer } from './program.ts';

const longMs = 600_000;
/** So many events are handed over at once; the publisher keeps them until they are confirmed. */
const batch = 1_000;

const hostbus: Peer = {
  async serve(url) {
    process.env.HOSTBUS_HOST_ID = 'h1';
    process.env.HOSTBUS_BROKER_URL = url;
    process.env.HOSTBUS_LOG_LEVEL = 'warn';
    process.env.HOSTBUS_TASKS_MAX = '20000';
    void import('../../test/lib/test-host.ts');
    const publisher = new EventPublisher({ hostId: 'bench', bootId: 'bench', bufferMax: 2 * batch });
    const up = Promise.withResolvers<void>();
    const link = new BrokerLink(
      { urls: [url], name: 'bench events', heartbeatSeconds: 10 },
      { setUp: (session) => publisher.setUp(session).then(up.resolve) },
    );
    void link.run();
    await up.promise;
    return {
      async publish(count) {
        for (let done = 0; done < count; done += 1) {
          const id = eventData.taskId;
          publisher.publish({ kind: 'task', event: 'succeeded', id, data: eventData as never });
          if (done % batch === batch - 1) await publisher.flush(longMs);
        }
        await publisher.flush(longMs);
      },
    };
  },
  async connect(url) {
    const client = await connect(url);
    const host = client.host('h1');
    await serving(() => host.call('ping', {}));
    return {
      echo: (text) => host.callUntyped('echo', { text }),
      sleep: (ms) => host.callUntyped('work', { ms }, { timeout: longMs }),
      async subscribe(onEvent) {
        const events = client.events({ host: 'bench' });
        await events.ready;
        void (async () => {
          for await (const _ of events) onEvent();
        })();
      },
    };
  },
};

await runPeer(hostbus);
