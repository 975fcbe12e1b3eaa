/** Reading `volume status`. */
import type { BrickStatus, serviceKinds, VolumeService } from '../../schemas/gluster-volume-status.ts';
import type { XmlElement } from '../lib/xml.ts';
import type { CommandOptions, GlusterCommands } from './command.ts';
import { getVolume } from './volumes.ts';

export interface VolumeStatus {
  volume: string;
  bricks: BrickStatus[];
  services: VolumeService[];
}

export type StatusDetail = 'bricks' | 'detail' | 'clients' | 'memory';

const detailWords = { bricks: [], detail: ['detail'], clients: ['clients'] } as const;

/** @throws {HostbusError} the volume is unknown or not started, or Gluster is busy */
export async function volumeStatus(
  commands: GlusterCommands,
  volume: string,
  detail: StatusDetail,
  options: CommandOptions,
): Promise<VolumeStatus> {
  if (detail === 'memory') return memoryStatus(commands, volume, options);
  return commands.run(['volume', 'status', volume, ...detailWords[detail]], options, parseVolumeStatus);
}

// Asked for a whole volume, glusterfs 10 tells the memory of its first brick only.
async function memoryStatus(
  commands: GlusterCommands,
  volume: string,
  options: CommandOptions,
): Promise<VolumeStatus> {
  const status = await commands.run(['volume', 'status', volume], options, parseVolumeStatus);
  const known = new Set((await getVolume(commands, volume, options)).bricks.map(({ brick }) => brick));
  const bricks: BrickStatus[] = [];
  for (const told of status.bricks) {
    if (!told.online || !known.has(told.brick)) {
      bricks.push(told);
      continue;
    }
    const args = ['volume', 'status', volume, told.brick, 'mem'];
    const own = await commands.run(args, options, parseVolumeStatus);
    bricks.push(own.bricks[0] ?? told);
  }
  return { ...status, bricks };
}

/** Reads `volume status V`, with or without `detail`, `clients` or `mem`. */
export function parseVolumeStatus(body: XmlElement): VolumeStatus {
  const volume = body.get('volStatus', 'volumes', 'volume');
  const bricks: BrickStatus[] = [];
  const services: VolumeService[] = [];
  for (const node of volume.all('node')) {
    // A service has its name as the host's, and its host as the path.
    const path = node.text('path');
    if (path.startsWith('/')) bricks.push(parseBrick(node, path));
    else services.push({ kind: serviceKind(node.text('hostname')), host: path, ...processOf(node) });
  }
  return { volume: volume.text('volName'), bricks, services };
}

function parseBrick(node: XmlElement, path: string): BrickStatus {
  return {
    brick: `${node.text('hostname')}:${path}`,
    ...processOf(node),
    ...(node.find('sizeTotal') === undefined ? {} : { disk: diskOf(node) }),
    ...(node.find('clientsStatus') === undefined ? {} : { clients: clientsOf(node.get('clientsStatus')) }),
    ...(node.find('memStatus') === undefined ? {} : { memory: memoryOf(node.get('memStatus', 'mallinfo')) }),
  };
}

function processOf(node: XmlElement): Pick<BrickStatus, 'hostUuid' | 'online' | 'port' | 'pid'> {
  const port = node.integerIfAny('ports', 'tcp') ?? node.integerIfAny('port');
  const pid = node.integerIfAny('pid');
  return {
    hostUuid: node.text('peerid'),
    online: node.integer('status') === 1,
    ...(port === undefined ? {} : { port }),
    ...(pid === undefined || pid < 0 ? {} : { pid }),
  };
}

function diskOf(node: XmlElement): NonNullable<BrickStatus['disk']> {
  return withoutUndefined({
    size: node.integerIfAny('sizeTotal'),
    free: node.integerIfAny('sizeFree'),
    device: node.textIfAny('device'),
    blockSize: node.integerIfAny('blockSize'),
    mountOptions: node.textIfAny('mntOptions'),
    fileSystem: node.textIfAny('fsName'),
    inodesTotal: node.integerIfAny('inodesTotal'),
    inodesFree: node.integerIfAny('inodesFree'),
  });
}

function clientsOf(status: XmlElement): NonNullable<BrickStatus['clients']> {
  return status.all('client').map((client) => ({
    address: client.text('hostname'),
    bytesRead: client.integer('bytesRead'),
    bytesWritten: client.integer('bytesWrite'),
    ...withoutUndefined({ opVersion: client.integerIfAny('opVersion') }),
  }));
}

/** The names are those of mallinfo(3). Its numbers wrap at 4 GiB, and may be printed as negative ones beyond 2. */
function memoryOf(mallinfo: XmlElement): NonNullable<BrickStatus['memory']> {
  const bytes = (name: string) => mallinfo.integer(name) >>> 0;
  return {
    arena: bytes('arena'),
    inUse: bytes('uordblks'),
    free: bytes('fordblks'),
    mapped: bytes('hblkhd'),
    releasable: bytes('keepcost'),
  };
}

const kindByName: Readonly<Record<string, (typeof serviceKinds)[number]>> = {
  'Self-heal Daemon': 'selfHealDaemon',
  'Quota Daemon': 'quotaDaemon',
  'Bitrot Daemon': 'bitrotDaemon',
  'Scrubber Daemon': 'scrubberDaemon',
  'Snapshot Daemon': 'snapshotDaemon',
  'NFS Server': 'nfsServer',
};

function serviceKind(name: string): (typeof serviceKinds)[number] {
  return kindByName[name] ?? 'unknown';
}

type Defined<T> = { [K in keyof T]?: Exclude<T[K], undefined> };

function withoutUndefined<T extends object>(fields: T): Defined<T> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Defined<T>;
}
