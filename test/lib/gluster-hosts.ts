/** Real Gluster hosts with hostbusd on them, and a client to call them. */
import assert from 'node:assert/strict';
import type { ErrorName } from '../../schemas/errors.ts';
import { type Client, connect, HostbusError } from '../../src/client/client.ts';
import { type Lab, startLab } from '../lab/lab.ts';
import type { LabDaemon } from '../lab/lab-daemon.ts';

export interface GlusterHosts extends AsyncDisposable {
  readonly lab: Lab;
  readonly client: Client;
  readonly daemons: readonly LabDaemon[];
}

/**
 * @param env - keys of the daemons' configuration as environment variables
 * @param geoReplication - see LabOptions
 */
export async function startGlusterHosts(
  hosts: number,
  env: Record<string, string> = {},
  geoReplication = false,
): Promise<GlusterHosts> {
  const lab = await startLab({ hosts, geoReplication });
  try {
    const { url } = await lab.broker();
    const all = { HOSTBUS_ACCESS_ANONYMOUS: 'admin', ...env };
    const daemons = await Promise.all(lab.hosts.map((host) => host.startDaemon({ env: all })));
    const client = await connect(url);
    return {
      lab,
      client,
      daemons,
      async [Symbol.asyncDispose]() {
        await client.close();
        await lab.stop();
      },
    };
  } catch (error) {
    await lab.stop();
    throw error;
  }
}

/** Resolves with the error that a call fails with, which must have this name and hold what Gluster's errors always hold. */
export async function refusedAs(name: ErrorName, call: Promise<unknown>): Promise<HostbusError> {
  const error = await call.then(
    (result) => assert.fail(`it was done: ${JSON.stringify(result)}`),
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof HostbusError, String(error));
  assert.equal(error.name, name, error.message);
  return error;
}
