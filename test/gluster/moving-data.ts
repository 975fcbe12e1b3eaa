/** Volumes with data to move, and a say in how long that takes. */
import assert from 'node:assert/strict';
import type { Lab, LabHost } from '../lab/lab.ts';
import { until } from '../lib/until.ts';

/** A volume of one brick on each of these hosts, started, with files in it; by way of the first of them. */
export async function makeVolume(
  name: string,
  hosts: readonly LabHost[],
  { files, sizeKiB }: { files: number; sizeKiB: number },
): Promise<string[]> {
  const [first] = hosts;
  if (first === undefined) throw new Error('a volume needs a host');
  const bricks = await Promise.all(hosts.map((host) => host.makeBrick(name)));
  await first.gluster('volume', 'create', name, ...bricks);
  await first.gluster('volume', 'start', name);
  const script = `
    mkdir /mnt/${name} && mount -t glusterfs localhost:/${name} /mnt/${name} && cd /mnt/${name} && mkdir d0 d1 d2 d3
    head -c ${sizeKiB * 1024} /dev/urandom >/tmp/piece
    i=0; while [ $i -lt ${files} ]; do cp /tmp/piece d$((i % 4))/f$i || exit 1; i=$((i + 1)); done
    cd / && umount /mnt/${name}`;
  await first.succeed(['sh', '-c', script], { timeoutMs: 60_000 });
  return bricks;
}

/** Slows down the data that these hosts send to the others' bricks, so that moving it takes long. Gluster's own talk (port 24007) is not held up. */
export async function slowDown(lab: Lab, hosts: readonly LabHost[], kbit: number): Promise<void> {
  for (const host of hosts) {
    const tc = (...words: string[]) => host.succeed(['tc', ...words]);
    await tc('qdisc', 'replace', 'dev', 'eth0', 'root', 'handle', '1:', 'htb', 'default', '1');
    const rates = { '1:1': '1gbit', '1:2': `${kbit}kbit` };
    for (const [id, rate] of Object.entries(rates)) {
      await tc(
        'class',
        'add',
        'dev',
        'eth0',
        'parent',
        '1:',
        'classid',
        id,
        'htb',
        'rate',
        rate,
        'quantum',
        '1500',
      );
    }
    const filter = (priority: number, match: readonly string[], id: string) =>
      tc(
        ...['filter', 'add', 'dev', 'eth0', 'parent', '1:', 'protocol', 'ip', 'prio', `${priority}`],
        ...['u32', 'match', 'ip', ...match, 'flowid', id],
      );
    for (const end of ['dport', 'sport']) await filter(1, [end, '24007', '0xffff'], '1:1');
    for (const other of lab.hosts) {
      if (other !== host) await filter(2, ['dst', `${other.address}/32`], '1:2');
    }
  }
}

export async function speedUp(lab: Lab): Promise<void> {
  await Promise.all(lab.hosts.map((host) => host.exec(['tc', 'qdisc', 'del', 'dev', 'eth0', 'root'])));
}

/** The PIDs, on the host, of what moves data of a volume there. */
export async function rebalanceProcesses(host: LabHost, volume: string): Promise<string[]> {
  const script = `grep -lzxs rebalance/${volume} /proc/[0-9]*/cmdline || true`;
  const files = (await host.succeed(['sh', '-c', script])).split('\n');
  return files.map((file) => file.split('/')[2] ?? '').filter((pid) => pid !== '');
}

export async function killRebalance(host: LabHost, volume: string): Promise<void> {
  const pids = await rebalanceProcesses(host, volume);
  assert.notEqual(pids.length, 0);
  for (const pid of pids) await host.exec(['kill', '-KILL', pid]);
}

/** What was stopped may have to end a file before another can start: so long it is tried. */
export async function startable<T>(start: () => Promise<T>): Promise<T> {
  const outcome = await until('it can be started again', () =>
    start().then(
      (result) => ({ result }),
      (error: unknown) => {
        if (/is in progress/.test(String(error))) return undefined;
        throw error;
      },
    ),
  );
  return outcome.result;
}
