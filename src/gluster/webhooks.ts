/** The verbs of `schemas/gluster-webhooks.ts`, by `gluster-eventsapi`. It writes here first, then copies to the peers. */
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import Type from 'typebox';
import { Compile } from 'typebox/compile';
import type { ErrorName, HostbusError } from '../../schemas/errors.ts';
import type { syncWebhooks, Webhook, webhookVerbs } from '../../schemas/gluster-webhooks.ts';
import type { ResultOf } from '../../schemas/verb.ts';
import { errnoCode } from '../lib/atomic-file.ts';
import type { ImplementationsOf, TaskContext } from '../tasks/task-context.ts';
import type { GlusterCommands } from './command.ts';
import { noDaemon, saysNoDaemon } from './refusals.ts';
import { reloadEventDaemon } from './services.ts';
import { hostRefusal, runTool, type ToolReply, toolRefusal } from './tools.ts';

type Synced = ResultOf<typeof syncWebhooks>;

/** It asks glusterd several times. */
const patience = 2.5;

/** Its exit codes that are answers: all nodes, some nodes not, none; webhook exists, does not exist; could not be copied to the peers. */
const exitCodes = { done: 0, noNode: 3, someNodes: 4, exists: 5, notFound: 6, notCopied: 8 } as const;

const Answer = Compile(
  Type.Object({
    error: Type.String(),
    output: Type.Union([
      Type.String(),
      Type.Array(
        Type.Object({
          node: Type.String(),
          node_status: Type.String(),
          sync_status: Type.String(),
          error: Type.Optional(Type.Unknown()),
        }),
      ),
    ]),
  }),
);

/** The file has been in two forms: `{URL: token}`, and `{URL: {token, secret}}`. */
const Stored = Compile(
  Type.Record(
    Type.String(),
    Type.Union([
      Type.String(),
      Type.Object({ token: Type.Optional(Type.String()), secret: Type.Optional(Type.String()) }),
    ]),
  ),
);

/** @param directory - glusterd's `events` */
export function webhookImplementations(
  commands: GlusterCommands,
  directory: string,
): ImplementationsOf<typeof webhookVerbs> {
  const change = async (
    args: readonly string[],
    task: Pick<TaskContext, 'log'>,
    secrets: readonly string[] = [],
  ): Promise<Synced> => {
    // Gluster's copying fails on a host that lacks it, and nothing else makes it.
    await mkdir(directory, { recursive: true }).catch((error: unknown) => {
      throw hostRefusal('GlusterError', `${directory} cannot be made (${errnoCode(error)})`, error);
    });
    const reply = await runTool('gluster-eventsapi', [...args, '--json'], {
      log: task.log,
      timeoutMs: commands.limitMs(patience),
      from: 'glusterfs-server',
      exitCodes: Object.values(exitCodes),
      secrets,
    });
    await reloadEventDaemon(task.log);
    return readAnswer(reply);
  };
  return {
    'gluster.listWebhooks': async () => ({ webhooks: await readWebhooks(join(directory, 'webhooks.json')) }),
    'gluster.addWebhook': ({ url, ...auth }, task) =>
      change(['webhook-add', ...authArgs(auth), url], task, Object.values(auth)),
    'gluster.updateWebhook': ({ url, ...auth }, task) =>
      change(['webhook-mod', ...authArgs(auth), url], task, Object.values(auth)),
    'gluster.deleteWebhook': ({ url }, task) => change(['webhook-del', url], task),
    'gluster.syncWebhooks': (_params, task) => change(['sync'], task),
  };
}

function authArgs({ token, secret }: { token?: string; secret?: string }): string[] {
  return [
    ...(token === undefined ? [] : [`--bearer_token=${token}`]),
    ...(secret === undefined ? [] : [`--secret=${secret}`]),
  ];
}

/** Reads what `gluster-eventsapi --json` tells of a change. @throws {HostbusError} it was refused, or only this host has it */
export function readAnswer(reply: ToolReply): Synced {
  const answer = parseAnswer(reply);
  if (reply.exitCode === exitCodes.done || reply.exitCode === exitCodes.someNodes) {
    if (typeof answer.output !== 'string') return { nodes: answer.output.map(readNode) };
  }
  throw refusalOf(reply, answer.error.trim());
}

function parseAnswer(reply: ToolReply) {
  try {
    const answer: unknown = JSON.parse(reply.stdout);
    if (Answer.Check(answer)) return answer;
  } catch {
    // Told below.
  }
  const said = reply.stdout.trim().slice(0, 300) || 'nothing';
  throw toolRefusal('GlusterError', `gluster-eventsapi is not understood; it said: ${said}`, reply);
}

function readNode(node: {
  node: string;
  node_status: string;
  sync_status: string;
  error?: unknown;
}): Synced['nodes'][number] {
  const message = typeof node.error === 'string' ? node.error.trim() : '';
  return {
    host: node.node,
    connected: node.node_status === 'UP',
    synced: node.sync_status === 'OK',
    ...(message === '' || message === 'N/A' ? {} : { message }),
  };
}

function refusalOf(reply: ToolReply, words: string): HostbusError {
  const refuse = (name: ErrorName, message: string) => toolRefusal(name, message, reply, words);
  const here = 'This host has the change, but not all of its peers';
  switch (reply.exitCode) {
    case exitCodes.exists:
      return refuse('WebhookExists', 'Events are posted to this URL already: update the webhook, or sync it');
    case exitCodes.notFound:
      return refuse(
        'WebhookNotFound',
        'No events are posted to this URL; gluster.listWebhooks tells where they are',
      );
    case exitCodes.notCopied:
      if (/another transaction/i.test(words)) {
        return refuse('GlusterBusy', `${here}: ask gluster.syncWebhooks of this host later`);
      }
      if (saysNoDaemon(words)) {
        return refuse(
          'GlusterUnavailable',
          `${here}: ${noDaemon}, then ask gluster.syncWebhooks of this host`,
        );
      }
      return refuse(
        'GlusterError',
        `${here}: ask gluster.syncWebhooks of each peer that says it cannot open the file, then of this host. Gluster says: ${words}`,
      );
    default:
      return refuse('GlusterError', `${here}: ask gluster.syncWebhooks of this host later. ${words}`.trim());
  }
}

async function readWebhooks(path: string): Promise<Webhook[]> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if (errnoCode(error) === 'ENOENT') return [];
    throw hostRefusal(
      'GlusterError',
      `The webhooks of this host cannot be read (${errnoCode(error)})`,
      error,
    );
  }
  return parseWebhooks(text);
}

/** Reads `webhooks.json`. @throws {HostbusError} it is damaged */
export function parseWebhooks(text: string): Webhook[] {
  let stored: unknown;
  try {
    stored = text.trim() === '' ? {} : JSON.parse(text);
  } catch (error) {
    throw damaged(error);
  }
  if (!Stored.Check(stored)) throw damaged();
  return Object.entries(stored).map(([url, value]) => {
    const { token = '', secret = '' } = typeof value === 'string' ? { token: value } : value;
    return { url, hasToken: token !== '', hasSecret: secret !== '' };
  });
}

function damaged(cause?: unknown): HostbusError {
  return hostRefusal(
    'GlusterError',
    "This host's webhooks.json of Gluster is damaged: mend it, or remove it",
    cause,
  );
}
