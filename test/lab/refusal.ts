/** Whether a lab can run on this machine. */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { cleanEnvironment, succeed } from './command.ts';

/** Debian's package of each program that the lab cannot do without. */
const packages: Record<string, string> = {
  glusterd: 'glusterfs-server',
  gluster: 'glusterfs-cli',
  'mkfs.xfs': 'xfsprogs',
  ip: 'iproute2',
  gcc: 'gcc',
  losetup: 'mount',
  mount: 'mount',
  nsenter: 'util-linux',
  unshare: 'util-linux',
  setpriv: 'util-linux',
};

/** Why no lab can run here, and what helps; undefined when one can. */
export function labRefusal(): string | undefined {
  if (process.platform !== 'linux') return `a lab needs Linux, and this is ${process.platform}`;
  if (process.getuid?.() !== 0) return 'a lab needs root: it makes namespaces, mounts and loop devices';
  const missing = Object.keys(packages).filter((program) => !isInstalled(program));
  if (missing.length > 0) {
    const needed = [...new Set(missing.map((program) => packages[program]))].join(' ');
    return `a lab needs ${missing.join(', ')}: apt-get install ${needed}, or .ci/setup test`;
  }
  for (const type of ['overlay', 'xfs']) {
    if (!knowsFileSystem(type)) return `a lab needs the file system ${type}, which this kernel does not have`;
  }
  for (const device of ['/dev/loop-control', '/dev/fuse']) {
    if (!existsSync(device)) return `a lab needs ${device}, which is not there`;
  }
  const namespaces = ['--mount', '--pid', '--net', '--uts', '--ipc', '--fork'];
  const tried = run('unshare', [...namespaces, 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt']);
  if (tried.status !== 0) return `no namespaces with mounts can be made here: ${tried.stderr.trim()}`;
  return undefined;
}

/** @throws Error when the hosts could not replicate to one another */
export async function checkGeoReplication(): Promise<void> {
  const missing = ['sshd', 'rsync'].filter((program) => !isInstalled(program));
  if (missing.length > 0) {
    throw new Error(`geo-replication needs ${missing.join(', ')}: apt-get install openssh-server rsync`);
  }
  const version = /version (\S+)/.exec(await succeed(['rsync', '--version']))?.[1];
  if (version === '3.5.0') {
    throw new Error(
      'rsync 3.5.0 makes geo-replication copy empty files: apt-get install --allow-downgrades rsync=3.2.7-1+deb12u6',
    );
  }
}

function isInstalled(program: string): boolean {
  return cleanEnvironment.PATH.split(':').some((dir) => existsSync(join(dir, program)));
}

function knowsFileSystem(type: string): boolean {
  const known = () => readFileSync('/proc/filesystems', 'utf8').split(/\s+/).includes(type);
  return known() || (run('modprobe', [type]).status === 0 && known());
}

function run(program: string, args: string[]) {
  return spawnSync(program, args, { env: cleanEnvironment, encoding: 'utf8', timeout: 20_000 });
}
