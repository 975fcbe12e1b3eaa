/** One broker, one daemon and one plain client for a test file. */
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import {
  type PrivateBroker,
  type PrivateBrokerOptions,
  startPrivateBroker,
} from '../../../rabbitmq/private-broker.ts';
import { startDaemon, type TestDaemon } from '../../lib/daemon.ts';
import { until } from '../../lib/until.ts';
import { RawClient } from './raw-client.ts';

export interface Bus {
  readonly broker: PrivateBroker;
  readonly daemon: TestDaemon;
  readonly client: RawClient;
  /** Another daemon on the same broker, stopped with the rest. */
  startHost(hostId: string, env?: Record<string, string>): Promise<TestDaemon>;
}

/**
 * Starts all before the file's tests and stops all after them. The daemon `h1` serves the test verbs.
 * @returns an object that is filled when the tests run
 */
export function useBus(env: Record<string, string> = {}, brokerOptions: PrivateBrokerOptions = {}): Bus {
  let broker: PrivateBroker | undefined;
  let client: RawClient | undefined;
  const daemons: TestDaemon[] = [];
  const startHost = async (hostId: string, hostEnv: Record<string, string> = {}) => {
    const brokerUrl = needed(broker).url;
    const daemon = await startDaemon({ hostId, brokerUrl, env: hostEnv, testVerbs: true, wait: false });
    daemons.push(daemon); // first of all, so that it is stopped even where it never serves
    await until(`${hostId} serves`, () => {
      assert.equal(daemon.process.exitCode, null, daemon.stderr());
      return daemon.log.some(({ msg }) => msg === 'connected to the broker');
    });
    return daemon;
  };
  before(async () => {
    broker = await startPrivateBroker(brokerOptions);
    await startHost('h1', env);
    client = await RawClient.connect(broker.url);
  });
  after(async () => {
    await client?.close();
    await Promise.all(daemons.map((daemon) => daemon.kill()));
    await broker?.stop();
  });
  return {
    get broker() {
      return needed(broker);
    },
    get daemon() {
      return needed(daemons[0]);
    },
    get client() {
      return needed(client);
    },
    startHost,
  };
}

function needed<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('it is there only while the tests run');
  return value;
}
