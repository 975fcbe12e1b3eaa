/** The verbs of `schemas/gluster-volumes.ts`: volumes, their life and their options. */

import {
  type createVolume,
  transports,
  type Volume,
  type VolumeOption,
  type volumeTypes,
  type volumeVerbs,
} from '../../schemas/gluster-volumes.ts';
import type { ParamsOf } from '../../schemas/verb.ts';
import { type XmlElement, XmlError } from '../lib/xml.ts';
import type { ImplementationsOf } from '../tasks/task-context.ts';
import type { CommandOptions, GlusterCommands } from './command.ts';

export function volumeImplementations(commands: GlusterCommands): ImplementationsOf<typeof volumeVerbs> {
  const change = async (args: readonly string[], task: CommandOptions) => {
    await commands.run(args, task, () => undefined);
    return {};
  };
  return {
    'gluster.listVolumes': async (_params, task) => ({
      volumes: await commands.run(['volume', 'info'], task, parseVolumes),
    }),
    'gluster.getVolume': ({ volume }, task) => getVolume(commands, volume, task),
    'gluster.createVolume': async (params, task) => {
      await commands.run(createWords(params), task, () => undefined);
      return getVolume(commands, params.volume, task);
    },
    'gluster.deleteVolume': ({ volume }, task) => change(['volume', 'delete', volume], task),
    'gluster.startVolume': ({ volume, force }, task) =>
      change(['volume', 'start', volume, ...forced(force)], task),
    'gluster.stopVolume': ({ volume, force }, task) =>
      change(['volume', 'stop', volume, ...forced(force)], task),
    'gluster.listVolumeOptions': async ({ volume }, task) => ({
      options:
        volume === undefined
          ? await commands.run(['volume', 'set', 'help-xml'], task, parseKnownOptions)
          : await commands.run(['volume', 'get', volume, 'all'], task, parseOptions),
    }),
    'gluster.setVolumeOption': ({ volume, option, value }, task) =>
      change(['volume', 'set', volume, option, value], task),
    'gluster.resetVolumeOption': ({ volume, option, force }, task) =>
      change(['volume', 'reset', volume, ...(option === undefined ? [] : [option]), ...forced(force)], task),
  };
}

/** Gluster's word for `force`, where it is wanted. */
export function forced(force: boolean | undefined): string[] {
  return force === true ? ['force'] : [];
}

/** @throws {HostbusError} VolumeNotFound */
export async function getVolume(
  commands: GlusterCommands,
  volume: string,
  options: CommandOptions,
): Promise<Volume> {
  return commands.run(['volume', 'info', volume], options, (body) => {
    const [found] = parseVolumes(body);
    if (found === undefined) throw new XmlError('<volumes> has no <volume>');
    return found;
  });
}

function createWords(params: ParamsOf<typeof createVolume>): string[] {
  const { volume, bricks, replica, arbiter = false, disperse, redundancy, transport, force } = params;
  return [
    'volume',
    'create',
    volume,
    ...countWords('replica', replica),
    ...(arbiter ? ['arbiter', '1'] : []),
    ...countWords('disperse', disperse),
    ...countWords('redundancy', redundancy),
    ...(transport === undefined ? [] : ['transport', transport]),
    ...bricks,
    ...forced(force),
  ];
}

/** A count and its word, as `volume create` and `volume add-brick` take them. */
export function countWords(word: string, count: number | undefined): string[] {
  return count === undefined ? [] : [word, String(count)];
}

const typeByCode: Readonly<Record<number, (typeof volumeTypes)[number]>> = {
  0: 'distribute',
  2: 'replicate',
  4: 'disperse',
  7: 'distributedReplicate',
  9: 'distributedDisperse',
};
const stateByCode = ['created', 'started', 'stopped'] as const;

/** Reads `volume info`. */
export function parseVolumes(body: XmlElement): Volume[] {
  return body.get('volInfo', 'volumes').all('volume').map(parseVolume);
}

function parseVolume(volume: XmlElement): Volume {
  const bricks = volume.get('bricks').all('brick').map(parseBrick);
  const replicaCount = Math.max(1, volume.integer('replicaCount'));
  const disperseCount = volume.integerIfAny('disperseCount') ?? 0;
  const options = volume.find('options')?.all('option') ?? [];
  return {
    volume: volume.text('name'),
    uuid: volume.text('id'),
    type: typeByCode[volume.integer('type')] ?? 'unknown',
    status: stateByCode[volume.integer('status')] ?? 'unknown',
    bricks,
    // Counted here, since versions differ in what their `distCount` is.
    distributeCount: Math.floor(bricks.length / (replicaCount * Math.max(1, disperseCount))),
    replicaCount,
    arbiterCount: volume.integerIfAny('arbiterCount') ?? 0,
    disperseCount,
    redundancyCount: volume.integerIfAny('redundancyCount') ?? 0,
    transport: transports[volume.integerIfAny('transport') ?? 0] ?? 'tcp',
    snapshotCount: volume.integerIfAny('snapshotCount') ?? 0,
    options: Object.fromEntries(options.map((option) => [option.text('name'), option.text('value')])),
  };
}

function parseBrick(brick: XmlElement): Volume['bricks'][number] {
  return {
    brick: brick.text('name'),
    hostUuid: brick.text('hostUuid'),
    arbiter: brick.integerIfAny('isArbiter') === 1,
  };
}

const defaultMark = / \(DEFAULT\)$/;

/** Reads `volume get V all`. */
export function parseOptions(body: XmlElement): VolumeOption[] {
  return body
    .get('volGetopts')
    .all('Opt')
    .map((option) => {
      const text = option.text('Value');
      return {
        option: option.text('Option'),
        ...ifSet('value', text.replace(defaultMark, '')),
        isDefault: defaultMark.test(text),
      };
    });
}

/** Reads `volume set help-xml`. */
export function parseKnownOptions(body: XmlElement): VolumeOption[] {
  return body.all('option').map((option) => ({
    option: option.text('name'),
    ...ifSet('defaultValue', option.text('defaultValue')),
    ...ifSet('description', option.textIfAny('description')),
  }));
}

// Of an option without a value Gluster prints a null pointer.
function ifSet<K extends string>(key: K, text: string | undefined): { [P in K]?: string } {
  const known = text !== undefined && text !== '' && text !== '(null)';
  return (known ? { [key]: text } : {}) as { [P in K]?: string };
}
