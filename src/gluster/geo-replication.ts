/** The verbs of `schemas/gluster-geo-replication.ts`. */
import { HostbusError } from '../../schemas/errors.ts';
import type { GeoReplicationStatus, geoReplicationVerbs } from '../../schemas/gluster-geo-replication.ts';
import type { XmlElement } from '../lib/xml.ts';
import type { GlusterReply } from '../programs/gluster.ts';
import type { ImplementationsOf } from '../tasks/task-context.ts';
import { type CommandOptions, type GlusterCommands, understand } from './command.ts';
import { parseSessions, type Remote, remoteOf } from './geo-replication-status.ts';
import { refusal } from './refusals.ts';
import { hostRefusal } from './tools.ts';

type Session = Remote & { readonly volume: string };

/** Gluster checks the remote side over SSH, or waits for its own workers to end. */
const patience = 2.5;

export function geoReplicationImplementations(
  commands: GlusterCommands,
): ImplementationsOf<typeof geoReplicationVerbs> {
  const change = async (session: Session, words: readonly string[], { log }: CommandOptions) => {
    await commands.run([...wordsOf(session), ...words], { log, patience }, demandDone);
    return {};
  };
  const stateChange =
    (word: string) =>
    ({ force = false, ...session }: Session & { force?: boolean }, task: CommandOptions) =>
      change(session, [word, ...(force ? ['force'] : [])], task);
  return {
    'gluster.createGeoReplication': ({ pushKeys = false, sshPort = 22, force = false, ...session }, task) => {
      const port = sshPort === 22 ? [] : ['ssh-port', String(sshPort)];
      const keys = pushKeys ? 'push-pem' : 'no-verify';
      return change(session, ['create', ...port, keys, ...(force ? ['force'] : [])], task);
    },
    'gluster.startGeoReplication': stateChange('start'),
    'gluster.stopGeoReplication': stateChange('stop'),
    'gluster.pauseGeoReplication': stateChange('pause'),
    'gluster.resumeGeoReplication': stateChange('resume'),
    'gluster.deleteGeoReplication': ({ resetSyncTime = false, ...session }, task) =>
      change(session, ['delete', ...(resetSyncTime ? ['reset-sync-time'] : [])], task),
    'gluster.listGeoReplications': async ({ volume }, task) => {
      const all = await sessionsOf(commands, volume, task);
      return { sessions: all.map(({ bricks: _bricks, ...session }) => session) };
    },
    'gluster.getGeoReplicationStatus': async (session, task) => {
      const [found] = await sessionsOf(commands, session, task);
      if (found !== undefined) return found;
      throw noSession(session);
    },
    'gluster.getGeoReplicationConfig': async (session, task) => ({
      options: Object.fromEntries(await configOf(commands, session, task)),
    }),
    'gluster.setGeoReplicationConfig': async ({ option, value, ...session }, task) => {
      if (!isNumber(value)) refuseWord(await configOf(commands, session, task), option, value);
      // A word that begins with two dashes would be taken for an option of the command line itself; of blanks before it Gluster rids itself.
      const word = value.startsWith('--') ? ` ${value}` : value;
      return change(session, ['config', option, word], task);
    },
    'gluster.resetGeoReplicationConfig': ({ option, ...session }, task) =>
      change(session, ['config', `!${option}`], task),
  };
}

function wordsOf(session: Session): string[] {
  return ['volume', 'geo-replication', session.volume, remoteOf(session)];
}

/** Gluster says yes, with these words, where it has done nothing. */
function demandDone(_body: XmlElement, reply: GlusterReply): void {
  if (/is not set up|is not running on this node/i.test(reply.opErrstr)) throw refusal(reply);
}

/** The sessions of one volume, of all volumes, or one session. */
async function sessionsOf(
  commands: GlusterCommands,
  of: Session | string | undefined,
  task: CommandOptions,
): Promise<GeoReplicationStatus[]> {
  const volume = typeof of === 'object' ? of.volume : of;
  const which = typeof of === 'object' ? [volume, remoteOf(of)] : [volume];
  const words = which.filter((word) => word !== undefined);
  const detail = typeof of === 'object' ? ['detail'] : [];
  const args = ['volume', 'geo-replication', ...words, 'status', ...detail];
  const reply = await commands.reply(args, { log: task.log, plain: true });
  if (reply.opRet === 0 && reply.body.find('opRet') !== undefined) return understand(reply, parseSessions);
  if (!/^(geo-replication command failed)?$/.test(reply.opErrstr)) throw refusal(reply);
  // It fails without a reason where there is no session: this tells whether there is glusterd, and the volume.
  await commands.run(['volume', 'info', ...(volume === undefined ? [] : [volume])], task, () => undefined);
  return [];
}

function noSession(session: Session): HostbusError {
  const message = `There is no geo-replication session between ${session.volume} and ${remoteOf(session)}; gluster.listGeoReplications tells what there is`;
  return hostRefusal('GeoReplicationState', message);
}

async function configOf(
  commands: GlusterCommands,
  session: Session,
  task: CommandOptions,
): Promise<Map<string, string>> {
  return commands.run([...wordsOf(session), 'config'], task, parseConfig);
}

/** Reads the whole configuration: Gluster tells a single option's value in no XML. */
export function parseConfig(body: XmlElement): Map<string, string> {
  return new Map(body.get('geoRep', 'config').children.map(({ name, ownText }) => [name, ownText.trim()]));
}

/**
 * Gluster takes any word for an option that is a number, and from then on fails at every command of the session, the one that would mend
 * it among them.
 */
export function refuseWord(options: ReadonlyMap<string, string>, option: string, value: string): void {
  const now = options.get(option.replaceAll('-', '_'));
  if (now === undefined || !isNumber(now) || isNumber(value)) return;
  if (option === 'checkpoint' && value === 'now') return;
  const message = `${option} is a number, ${now} now`;
  throw new HostbusError('InvalidParams', message, { errors: [{ path: '/value', message }] });
}

function isNumber(value: string): boolean {
  return /^\d+$/.test(value);
}
