/**
 * Gluster's mount broker: glusterd mounts a volume for a user that may not mount. Users and groups are this host's own;
 * `gluster-mountbroker` then writes into `glusterd.vol` of all hosts of the pool.
 */
import type { Logger } from 'pino';
import type { setUpMountBroker as setUpMountBrokerVerb } from '../../schemas/gluster-geo-replication-hosts.ts';
import type { ParamsOf, ResultOf } from '../../schemas/verb.ts';
import { findGroup, findUser, joinGroup, makeGroup, makeUser } from './accounts.ts';
import { hostRefusal, runTool, toolRefusal } from './tools.ts';

type Hosts = ResultOf<typeof setUpMountBrokerVerb>['hosts'];

/** Where the mounts are. Its mode is changed, so it is nobody's choice. */
const mountRoot = '/var/mountbroker-root';

/**
 * Each step finds what an earlier call has done: one that was cut short is called again.
 * @param timeoutMs - of each command of Gluster's
 */
export async function setUpMountBroker(
  { volume, user, group }: ParamsOf<typeof setUpMountBrokerVerb>,
  timeoutMs: number,
  log: Logger,
): Promise<Hosts> {
  if (user === 'root' || group === 'root') {
    throw hostRefusal('GlusterError', 'root needs no mount broker, and its group is not given to anybody');
  }
  await makeAccounts(user, group, log);
  const setUp = await broker(['setup', mountRoot, group], timeoutMs, log);
  const added = await broker(['add', volume, user], timeoutMs, log);
  // A host that is not set up refuses the user as well: the first reason is the one to tell.
  return setUp.map((host) => {
    const next = added.find((other) => other.host === host.host);
    return host.ready && next !== undefined ? next : host;
  });
}

async function makeAccounts(user: string, group: string, log: Logger): Promise<void> {
  let found = await findGroup(group, log);
  if (found === undefined) {
    await makeGroup(group, log);
    found = await findGroup(group, log);
  }
  const account = await findUser(user, log);
  if (account === undefined) return makeUser(user, group, log);
  const isMember = account.gid === found?.gid || found?.members.includes(user) === true;
  if (!isMember) await joinGroup(user, group, log);
}

async function broker(args: readonly string[], timeoutMs: number, log: Logger): Promise<Hosts> {
  const reply = await runTool('gluster-mountbroker', args, { log, timeoutMs, from: 'glusterfs-server' });
  const hosts = parseBrokerTable(reply.stdout);
  if (hosts !== undefined) return hosts;
  const said = reply.stdout.trim().slice(0, 300) || 'nothing';
  throw toolRefusal('GlusterError', `gluster-mountbroker is not understood; it said: ${said}`, reply);
}

/** Reads its table, which is all that it tells; undefined when there is none. */
export function parseBrokerTable(text: string): Hosts | undefined {
  const rows = text
    .split('\n')
    .filter((line) => line.startsWith('|'))
    .map((line) => line.split('|').map((cell) => cell.trim()));
  const [head, ...body] = rows;
  if (head?.[1] !== 'NODE' || body.length === 0) return undefined;
  return body.map(([, host = '', node, told = '']) => {
    const message = /^NOT OK: *(.*)$/.exec(told)?.[1];
    return {
      host,
      connected: node === 'UP',
      ready: told === 'OK',
      ...(message === undefined || message === '' || message === 'N/A' ? {} : { message }),
    };
  });
}
