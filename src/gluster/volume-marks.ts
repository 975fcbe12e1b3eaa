/**
 * Marks on volumes: options `user.hostbus.…`, which Gluster keeps for the whole pool and does nothing with. Gluster cannot take an option
 * of that kind away again, so `none` stands for no mark. A volume's options are part of its snapshots: a restored volume, or a clone,
 * has the marks of then.
 */
import { createHash } from 'node:crypto';
import type { XmlElement } from '../lib/xml.ts';
import type { CommandOptions, GlusterCommands } from './command.ts';

const prefix = 'user.hostbus.';
const none = 'none';

export interface MarkedVolume {
  readonly volume: string;
  readonly started: boolean;
  /** It is, or once was, the primary of a geo-replication session. */
  readonly replicated: boolean;
  /** Tells the volume from its clones, and from itself after it was restored: their bricks are others. */
  readonly bricksId: string;
  /** By name, without the prefix. */
  readonly marks: ReadonlyMap<string, string>;
}

/** All volumes, by name. */
export async function readMarks(
  commands: GlusterCommands,
  options: CommandOptions,
): Promise<Map<string, MarkedVolume>> {
  const volumes = await commands.run(['volume', 'info'], options, parseMarks);
  return new Map(volumes.map((each) => [each.volume, each]));
}

/** @param value - undefined: no mark any more */
export async function setMark(
  commands: GlusterCommands,
  volume: string,
  name: string,
  value: string | undefined,
  options: CommandOptions,
): Promise<void> {
  await commands.run(['volume', 'set', volume, prefix + name, value ?? none], options, () => undefined);
}

/** Reads `volume info`. */
export function parseMarks(body: XmlElement): MarkedVolume[] {
  return body.get('volInfo', 'volumes').all('volume').map(parseVolume);
}

function parseVolume(volume: XmlElement): MarkedVolume {
  const options = (volume.find('options')?.all('option') ?? []).map(
    (option) => [option.text('name'), option.text('value')] as const,
  );
  const marks = options
    .filter(([name, value]) => name.startsWith(prefix) && value !== none)
    .map(([name, value]) => [name.slice(prefix.length), value] as const);
  const firstBrick = volume.find('bricks', 'brick', 'name')?.ownText.trim() ?? '';
  return {
    volume: volume.text('name'),
    started: volume.integer('status') === 1,
    replicated: options.some(([name, value]) => name === 'geo-replication.indexing' && value === 'on'),
    bricksId: createHash('sha256').update(firstBrick).digest('hex').slice(0, 16),
    marks: new Map(marks),
  };
}
