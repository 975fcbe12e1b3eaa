/** Users and groups of the host, wherever they are kept: getent asks what the system asks. */
import type { Logger } from 'pino';
import { runTool } from './tools.ts';

export interface User {
  readonly uid: number;
  /** Of the first group. */
  readonly gid: number;
  readonly home: string;
}

export interface Group {
  readonly gid: number;
  readonly members: readonly string[];
}

const options = { timeoutMs: 30_000, from: 'passwd' } as const;
/** Of getent: there is no such entry. */
const notFound = 2;

export async function findUser(name: string, log: Logger): Promise<User | undefined> {
  const fields = await lookUp('passwd', name, log);
  const [, , uid, gid, , home] = fields ?? [];
  if (uid === undefined || gid === undefined || home === undefined || home === '') return undefined;
  return { uid: Number(uid), gid: Number(gid), home };
}

export async function findGroup(name: string, log: Logger): Promise<Group | undefined> {
  const fields = await lookUp('group', name, log);
  const [, , gid, members = ''] = fields ?? [];
  if (gid === undefined) return undefined;
  return { gid: Number(gid), members: members.split(',').filter(Boolean) };
}

/** The homes of all users that the system lists. */
export async function listHomes(log: Logger): Promise<string[]> {
  const { stdout } = await runTool('getent', ['passwd'], {
    log,
    timeoutMs: options.timeoutMs,
    from: 'libc-bin',
  });
  const homes = stdout.split('\n').map((line) => line.split(':')[5] ?? '');
  return [...new Set(homes.filter((home) => home.startsWith('/')))];
}

/** A user with a home and this first group. */
export async function makeUser(name: string, group: string, log: Logger): Promise<void> {
  await runTool('useradd', ['--create-home', '--gid', group, '--shell', '/bin/bash', name], {
    log,
    ...options,
  });
}

export async function makeGroup(name: string, log: Logger): Promise<void> {
  await runTool('groupadd', [name], { log, ...options });
}

export async function joinGroup(user: string, group: string, log: Logger): Promise<void> {
  await runTool('usermod', ['--append', '--groups', group, user], { log, ...options });
}

async function lookUp(table: string, name: string, log: Logger): Promise<string[] | undefined> {
  const { exitCode, stdout } = await runTool('getent', [table, name], {
    log,
    timeoutMs: options.timeoutMs,
    from: 'libc-bin',
    exitCodes: [0, notFound],
  });
  return exitCode === notFound ? undefined : (stdout.split('\n')[0] ?? '').split(':');
}
