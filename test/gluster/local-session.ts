/** A geo-replication session between two volumes of one pool: enough to be paused and resumed. */
import type { LabHost } from '../lab/lab.ts';
import { until } from '../lib/until.ts';

/** Starts a session; it may still be initializing when this resolves. */
export async function startSession(host: LabHost, volume: string, secondary: string): Promise<void> {
  await host.succeed(['gluster', 'system::', 'execute', 'gsec_create']);
  await host.gluster('volume', 'geo-replication', volume, secondary, 'create', 'push-pem');
  await host.gluster('volume', 'geo-replication', volume, secondary, 'start');
}

/** What Gluster says of each brick's part. It says nothing while another command runs. */
export function sessionStates(host: LabHost, volume: string): Promise<string[]> {
  return until(`gluster tells of the geo-replication of ${volume}`, async () => {
    const argv = ['gluster', '--xml', 'volume', 'geo-replication', volume, 'status'];
    const { stdout } = await host.exec(argv);
    const states = [...stdout.matchAll(/<status>(.*?)<\/status>/g)].map(([, state = '']) => state);
    return states.length > 0 && states;
  });
}
