/** A RabbitMQ cluster of one's own, all of its nodes on this machine: each is a private broker (private-broker.ts). */
import { type PrivateBroker, startPrivateBroker } from './private-broker.ts';
import { freePort, newNodeName, newSecret } from './private-broker-plan.ts';

export interface PrivateCluster extends AsyncDisposable {
  readonly nodes: readonly PrivateBroker[];
  /** Of all nodes, for clients that look for one that is there. */
  readonly urls: readonly string[];
  stop(): Promise<void>;
}

/**
 * Starts so many nodes, on 127.0.0.1, 127.0.0.2 …, and resolves once each has answered an AMQP handshake.
 * @throws Error as startPrivateBroker does
 */
export async function startPrivateCluster(size = 3): Promise<PrivateCluster> {
  const addresses = Array.from({ length: size }, (_, at) => `127.0.0.${at + 1}`);
  const cluster = {
    nodeNames: addresses.map(newNodeName),
    distributionPort: await freePort(addresses[0] ?? ''),
    cookie: newSecret(),
    password: newSecret(),
  };
  const nodes: PrivateBroker[] = [];
  const stop = async () => {
    await Promise.all(nodes.map((node) => node.stop()));
  };
  const start = async (address: string) => void nodes.push(await startPrivateBroker({ address, cluster }));
  // The others find the first one there, and join it.
  const [first = '', ...others] = addresses;
  await start(first);
  const failed = (await Promise.allSettled(others.map(start))).find((each) => each.status === 'rejected');
  if (failed !== undefined) {
    await stop();
    throw failed.reason;
  }
  return { nodes, urls: nodes.map(({ url }) => url), stop, [Symbol.asyncDispose]: stop };
}
