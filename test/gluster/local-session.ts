/** A geo-replication session between two volumes of one pool: enough to be paused and resumed. */
import { existsSync } from 'node:fs';
import type { Lab, LabHost } from '../lab/lab.ts';
import { until } from '../lib/until.ts';

/** Why there can be no session here; undefined when there can. */
export function sshRefusal(): string | undefined {
  return existsSync('/usr/sbin/sshd')
    ? undefined
    : 'sshd is not installed (apt-get install openssh-server rsync)';
}

/** Lets root of each host reach all hosts by ssh, with keys of the lab's own. */
export async function startSsh(lab: Lab): Promise<void> {
  const keys = await Promise.all(lab.hosts.map(makeKeys));
  await Promise.all(
    lab.hosts.map((host) =>
      host.succeed(
        [
          'sh',
          '-ec',
          'cat >/root/.ssh/authorized_keys; chmod 600 /root/.ssh/authorized_keys; /usr/sbin/sshd',
        ],
        {
          input: keys.join(''),
        },
      ),
    ),
  );
}

function makeKeys(host: LabHost): Promise<string> {
  const lines = [
    'rm -f /etc/ssh/ssh_host_* /root/.ssh/id_ed25519*',
    'mkdir -p -m 700 /root/.ssh /run/sshd',
    "ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/ssh_host_ed25519_key",
    "ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id_ed25519",
    'cat /root/.ssh/id_ed25519.pub',
  ];
  return host.succeed(['sh', '-ec', lines.join('; ')]);
}

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
