/** What `volume geo-replication … status` tells. Its words are `primary` and `secondary` from glusterfs 10 on, `master` and `slave` before. */
import {
  crawls,
  type GeoReplicationBrick,
  type GeoReplicationStatus,
  geoReplicationStatuses,
} from '../../schemas/gluster-geo-replication.ts';
import { type XmlElement, XmlError } from '../lib/xml.ts';

type Status = GeoReplicationStatus['status'];

/** The worst first. */
const severity: readonly Status[] = [
  'faulty',
  'offline',
  'unknown',
  'stopped',
  'created',
  'paused',
  'initializing',
  'active',
  'passive',
];

/** Reads all sessions of a reply. */
export function parseSessions(body: XmlElement): GeoReplicationStatus[] {
  return (body.find('geoRep')?.all('volume') ?? []).flatMap((volume) => {
    const name = volume.text('name');
    return (volume.find('sessions')?.all('session') ?? []).map((session) => parseSession(name, session));
  });
}

function parseSession(volume: string, session: XmlElement): GeoReplicationStatus {
  const pairs = session.all('pair');
  const bricks = pairs.map(parsePair);
  const statuses = bricks.map((brick) => brick.status);
  const user = pairs[0] === undefined ? undefined : either(pairs[0], 'secondary_user', 'slave_user');
  const remote = parseRemote(either(session, 'session_secondary', 'session_slave') ?? '');
  return {
    volume,
    ...remote,
    // A session's own name has the user, unless that is root.
    remoteUser: user ?? remote.remoteUser,
    status: severity.find((status) => statuses.includes(status)) ?? 'unknown',
    bricks,
  };
}

/** The other end of a session. */
export interface Remote {
  readonly remoteHost: string;
  readonly remoteVolume: string;
  /** @default root */
  readonly remoteUser?: string;
}

/** What Gluster calls it: `[USER@]HOST::VOLUME`. */
export function remoteOf({ remoteHost, remoteVolume, remoteUser = 'root' }: Remote): string {
  return `${remoteUser === 'root' ? '' : `${remoteUser}@`}${remoteHost}::${remoteVolume}`;
}

/** Reads `UUID:ssh://[USER@]HOST::VOLUME[:UUID]`. */
function parseRemote(text: string) {
  const match = /^[^:]*:ssh:\/\/(?:(?<user>[^@]+)@)?(?<host>.+)::(?<volume>[^:]+)(?::(?<uuid>[^:]+))?$/.exec(
    text,
  );
  const { user, host, volume, uuid } = match?.groups ?? {};
  if (host === undefined || volume === undefined) throw new XmlError(`no session is called "${text}"`);
  return {
    remoteHost: host,
    remoteVolume: volume,
    remoteUser: user ?? 'root',
    ...(uuid === undefined ? {} : { remoteVolumeUuid: uuid }),
  };
}

function parsePair(pair: XmlElement): GeoReplicationBrick {
  const need = (newer: string, older: string) => either(pair, newer, older) ?? pair.text(newer);
  const crawl = pair.textIfAny('crawl_status');
  return {
    brick: `${need('primary_node', 'master_node')}:${need('primary_brick', 'master_brick')}`,
    hostUuid: need('primary_node_uuid', 'master_node_uuid'),
    status: parseStatus(pair.text('status')),
    ...(crawl === undefined
      ? {}
      : { crawl: crawls.find((each) => crawl.toLowerCase().startsWith(each)) ?? 'unknown' }),
    ...optional('remoteHost', either(pair, 'secondary_node', 'slave_node')),
    ...optional('pendingEntries', pair.integerIfAny('entry')),
    ...optional('pendingData', pair.integerIfAny('data')),
    ...optional('pendingMetadata', pair.integerIfAny('meta')),
    ...optional('failures', pair.integerIfAny('failures')),
    ...optional('syncedAt', timeOf(pair.textIfAny('last_synced'))),
    ...parseCheckpoint(pair),
  };
}

function parseStatus(text: string): Status {
  const word = text.toLowerCase().replace(/\.+$/, '');
  return geoReplicationStatuses.find((status) => status === word) ?? 'unknown';
}

function parseCheckpoint(pair: XmlElement): Pick<GeoReplicationBrick, 'checkpoint'> {
  const setAt = timeOf(pair.textIfAny('checkpoint_time'));
  if (setAt === undefined) return {};
  const completed = pair.textIfAny('checkpoint_completed') === 'Yes';
  const completedAt = timeOf(pair.textIfAny('checkpoint_completion_time'));
  return { checkpoint: { setAt, completed, ...optional('completedAt', completedAt) } };
}

function either(element: XmlElement, newer: string, older: string): string | undefined {
  return element.textIfAny(newer) ?? element.textIfAny(older);
}

/** Gluster tells times in the time zone of its hosts, which is taken to be this host's. */
function timeOf(text: string | undefined): string | undefined {
  if (text === undefined || !/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$/.test(text)) return undefined;
  const time = new Date(text.replace(' ', 'T'));
  return Number.isNaN(time.getTime()) ? undefined : time.toISOString();
}

function optional<K extends string, V>(key: K, value: V | undefined): { [_ in K]?: V } {
  return value === undefined ? {} : ({ [key]: value } as { [_ in K]: V });
}
