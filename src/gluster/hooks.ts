/**
 * The verbs of `schemas/gluster-hooks.ts`. A hook is a file `hooks/1/COMMAND/{pre,post}/{S,K}NAME` of glusterd's: it runs those that
 * begin with `S`, in order. What is being written must therefore never have such a name.
 */
import { createHash } from 'node:crypto';
import { constants, type Stats } from 'node:fs';
import { link, lstat, open, readdir, rename, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { HostbusError } from '../../schemas/errors.ts';
import { type Hook, type hookVerbs, maxHookBytes } from '../../schemas/gluster-hooks.ts';
import { errnoCode, flushDirectory, removeFile, writeNewFile } from '../lib/atomic-file.ts';
import type { ImplementationsOf } from '../tasks/task-context.ts';
import { hostRefusal } from './tools.ts';

type Stage = Hook['stage'];
interface HookKey {
  readonly command: string;
  readonly stage: Stage;
  readonly name: string;
}

const stages: readonly Stage[] = ['pre', 'post'];
const temporaryName = '.hostbus-new';

/** @param directory - glusterd's `hooks/1` */
export function hookImplementations(directory: string): ImplementationsOf<typeof hookVerbs> {
  const find = (key: HookKey) => findHook(directory, key);
  return {
    'gluster.listHooks': () => told(async () => ({ hooks: await listHooks(directory) })),
    'gluster.readHook': (key) =>
      told(async () => {
        const { path, enabled } = await find(key);
        const { stats, bytes } = await readScript(path);
        if (bytes === undefined)
          throw hostRefusal('GlusterError', `Hook ${key.name} is too large to be read`);
        return { hook: describe(key, enabled, stats, bytes), ...encode(bytes) };
      }),
    'gluster.addHook': ({ content, encoding, enabled = false, ...key }) =>
      told(async () => {
        const folder = await folderOf(directory, key);
        const path = join(folder, (enabled ? 'S' : 'K') + key.name);
        if ((await findIfAny(directory, key)) !== undefined) throw exists(key);
        const temporary = await writeScript(folder, decode(content, encoding));
        // Never over a file that somebody else has put there meanwhile.
        await link(temporary, path);
        await removeFile(temporary);
        await flushDirectory(folder);
        return { hook: await look(key, path, enabled) };
      }),
    'gluster.updateHook': ({ content, encoding, ...key }) =>
      told(async () => {
        const { path, enabled, folder } = await find(key);
        await rename(await writeScript(folder, decode(content, encoding)), path);
        await flushDirectory(folder);
        return { hook: await look(key, path, enabled) };
      }),
    'gluster.enableHook': (key) => told(() => setEnabled(directory, key, true)),
    'gluster.disableHook': (key) => told(() => setEnabled(directory, key, false)),
    'gluster.removeHook': (key) =>
      told(async () => {
        const { folder } = await find(key);
        await removeFile(join(folder, `S${key.name}`));
        await removeFile(join(folder, `K${key.name}`));
        await flushDirectory(folder);
        return {};
      }),
  };
}

/**
 * Gives the file its other name. Both names in turn, so that nothing is ever lost; killed between the two steps it has both, which
 * counts as enabled, and the next call ends it.
 */
async function setEnabled(directory: string, key: HookKey, enabled: boolean): Promise<{ hook: Hook }> {
  const found = await findHook(directory, key);
  const wanted = join(found.folder, (enabled ? 'S' : 'K') + key.name);
  if (found.enabled !== enabled) {
    try {
      await link(found.path, wanted);
    } catch (error) {
      if (errnoCode(error) !== 'EEXIST' || !(await sameFile(found.path, wanted))) throw error;
    }
    await removeFile(found.path);
    await flushDirectory(found.folder);
  }
  return { hook: await look(key, wanted, enabled) };
}

async function sameFile(one: string, other: string): Promise<boolean> {
  const [a, b] = await Promise.all([lstat(one), lstat(other)]);
  return a.ino === b.ino && a.dev === b.dev;
}

async function listHooks(directory: string): Promise<Hook[]> {
  const hooks: Hook[] = [];
  const commands = await readdir(directory, { withFileTypes: true });
  for (const { name: command } of commands.filter((entry) => entry.isDirectory())) {
    for (const stage of stages) {
      const files = (await namesIn(join(directory, command, stage))).filter((file) => /^[SK]./s.test(file));
      for (const name of new Set(files.map((file) => file.slice(1)))) {
        const enabled = files.includes(`S${name}`);
        const path = join(directory, command, stage, (enabled ? 'S' : 'K') + name);
        const hook = await lookIfAny({ command, stage, name }, path, enabled);
        if (hook !== undefined) hooks.push(hook);
      }
    }
  }
  const order = ({ command, stage, name }: Hook) => `${command}\0${stage === 'pre' ? 0 : 1}${name}`;
  return hooks.sort((a, b) => (order(a) < order(b) ? -1 : 1));
}

interface Found {
  readonly folder: string;
  readonly path: string;
  readonly enabled: boolean;
}

async function findHook(directory: string, key: HookKey): Promise<Found> {
  const found = await findIfAny(directory, key);
  if (found !== undefined) return found;
  const { command, stage, name } = key;
  const message = `This host has no hook ${name} at ${stage} of ${command}; gluster.listHooks tells what there is`;
  throw hostRefusal('HookNotFound', message);
}

/** Where there are two files, that which glusterd runs. */
async function findIfAny(directory: string, { command, stage, name }: HookKey): Promise<Found | undefined> {
  const folder = join(directory, command, stage);
  const files = await namesIn(folder);
  const letter = ['S', 'K'].find((candidate) => files.includes(candidate + name));
  if (letter === undefined) return undefined;
  return { folder, path: join(folder, letter + name), enabled: letter === 'S' };
}

async function folderOf(directory: string, { command, stage }: HookKey): Promise<string> {
  const folder = join(directory, command, stage);
  const isFolder = await lstat(folder).then(
    (stats) => stats.isDirectory(),
    () => false,
  );
  if (isFolder) return folder;
  const known = (await readdir(directory)).sort().join(', ');
  throw invalid('/command', `glusterd of this host runs no hooks for it; it does for ${known}`);
}

/** What a daemon that died while it wrote has left. @param directory - glusterd's `hooks/1` */
export async function tidyHooks(directory: string): Promise<void> {
  for (const command of await namesIn(directory)) {
    for (const stage of stages) await removeFile(join(directory, command, stage, temporaryName));
  }
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes(errnoCode(error) ?? '')) return [];
    throw error;
  }
}

/** The path of a new file that glusterd does not run, with this content, flushed. */
async function writeScript(folder: string, content: Buffer): Promise<string> {
  if (content.length > maxHookBytes) {
    throw invalid('/content', `at most ${maxHookBytes} bytes, not ${content.length}`);
  }
  const temporary = join(folder, temporaryName);
  // Left by a daemon that died: changes run one at a time.
  await removeFile(temporary);
  await writeNewFile(temporary, content, { mode: 0o755 });
  return temporary;
}

/** `bytes` is absent where there are too many. */
async function readScript(path: string): Promise<{ stats: Stats; bytes: Buffer | undefined }> {
  // A pipe would wait for its writer.
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const stats = await file.stat();
    if (!stats.isFile()) throw hostRefusal('GlusterError', 'The hook is no regular file');
    return { stats, bytes: stats.size > maxHookBytes ? undefined : await file.readFile() };
  } finally {
    await file.close();
  }
}

async function look(key: HookKey, path: string, enabled: boolean): Promise<Hook> {
  const { stats, bytes } = await readScript(path);
  return describe(key, enabled, stats, bytes);
}

/** Undefined for what is no file, and for what has gone meanwhile. */
async function lookIfAny(key: HookKey, path: string, enabled: boolean): Promise<Hook | undefined> {
  const isFile = await stat(path).then(
    (stats) => stats.isFile(),
    () => false,
  );
  if (!isFile) return undefined;
  try {
    return await look(key, path, enabled);
  } catch (error) {
    if (errnoCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

function describe(key: HookKey, enabled: boolean, stats: Stats, bytes: Buffer | undefined): Hook {
  return {
    ...key,
    enabled,
    executable: (stats.mode & 0o111) !== 0,
    size: stats.size,
    ...(bytes === undefined ? {} : { checksum: createHash('sha256').update(bytes).digest('hex') }),
    modifiedAt: stats.mtime.toISOString(),
  };
}

function encode(bytes: Buffer): { content: string; encoding: 'utf8' | 'base64' } {
  const text = bytes.toString('utf8');
  const isText = Buffer.from(text, 'utf8').equals(bytes);
  return isText
    ? { content: text, encoding: 'utf8' }
    : { content: bytes.toString('base64'), encoding: 'base64' };
}

function decode(content: string, encoding: 'utf8' | 'base64' = 'utf8'): Buffer {
  const bytes = Buffer.from(content, encoding);
  if (encoding === 'base64' && bytes.toString('base64') !== content) {
    throw invalid('/content', 'is not base64, as `encoding` says it is');
  }
  return bytes;
}

function invalid(path: string, message: string): HostbusError {
  return new HostbusError('InvalidParams', `${path.slice(1)}: ${message}`, { errors: [{ path, message }] });
}

function exists({ command, stage, name }: HookKey, cause?: unknown): HostbusError {
  const message = `This host has a hook ${name} at ${stage} of ${command} already, enabled or not: update it, or choose another name`;
  return hostRefusal('HookExists', message, cause);
}

/** Does something with files; what the system refuses is an error of Gluster's. */
async function told<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const code = errnoCode(error);
    if (error instanceof HostbusError || code === undefined) throw error;
    if (code === 'EEXIST') {
      throw hostRefusal('HookExists', 'Another file has the name that this hook would get', error);
    }
    if (code === 'ENOENT') {
      const message =
        'This host has no such hook, or no folder for hooks: install glusterfs-server and start glusterd once';
      throw hostRefusal('GlusterUnavailable', message, error);
    }
    throw hostRefusal('GlusterError', `The hooks of this host cannot be read or written (${code})`, error);
  }
}
