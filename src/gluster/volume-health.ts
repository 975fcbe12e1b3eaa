/** The verbs of `schemas/gluster-volume-status.ts`: how volumes are doing. */
import type { HealBrick, ProfileStats, volumeStatusVerbs } from '../../schemas/gluster-volume-status.ts';
import type { XmlElement } from '../lib/xml.ts';
import type { ImplementationsOf } from '../tasks/task-context.ts';
import type { CommandOptions, GlusterCommands } from './command.ts';
import { type Looks, volumeLooks } from './volume-look.ts';
import { volumeStatus } from './volume-status.ts';

/** Gluster's own limit for commands that reach into every brick is five times that of others. */
const patience = 5;

export function volumeHealthImplementations(
  commands: GlusterCommands,
  looks: Looks,
): ImplementationsOf<typeof volumeStatusVerbs> {
  const slow = ({ log }: CommandOptions): CommandOptions => ({ log, patience });
  const profile = async (volume: string, word: string, task: CommandOptions) => {
    await commands.run(['volume', 'profile', volume, word], slow(task), () => undefined);
    return {};
  };
  return {
    'gluster.getVolumeStatus': ({ volume, detail = 'bricks' }, task) =>
      volumeStatus(commands, volume, detail, task),
    'gluster.getVolumeHealInfo': async ({ volume }, task) => {
      const args = ['volume', 'heal', volume, 'info', 'summary'];
      return { volume, bricks: await commands.run(args, slow(task), parseHealInfo) };
    },
    'gluster.startVolumeHeal': async ({ volume, full = false }, task) => {
      // It answers in plain text, whatever is asked for.
      const args = ['volume', 'heal', volume, ...(full ? ['full'] : [])];
      await commands.run(args, { ...slow(task), plain: true }, () => undefined);
      return {};
    },
    'gluster.startVolumeProfile': ({ volume }, task) => profile(volume, 'start', task),
    'gluster.stopVolumeProfile': ({ volume }, task) => profile(volume, 'stop', task),
    'gluster.getVolumeProfile': async ({ volume }, task) => {
      // Without `peek` the interval would begin anew, for everybody.
      const args = ['volume', 'profile', volume, 'info', 'peek'];
      return { volume, bricks: await commands.run(args, slow(task), parseProfile) };
    },
    ...volumeLooks(commands, looks),
  };
}

/** Reads `volume heal V info summary`. */
export function parseHealInfo(body: XmlElement): HealBrick[] {
  return body.get('healInfo', 'bricks').all('brick').map(parseHealBrick);
}

function parseHealBrick(brick: XmlElement): HealBrick {
  const hostUuid = brick.attributes.get('hostUuid');
  const told: HealBrick = {
    brick: brick.text('name'),
    // Of a brick that is down it is a dash.
    ...(hostUuid === undefined || hostUuid.length < 36 ? {} : { hostUuid }),
    connected: brick.text('status') === 'Connected',
  };
  if (!told.connected) return told;
  return {
    ...told,
    entries: brick.integer('totalNumberOfEntries'),
    pending: brick.integer('numberOfEntriesInHealPending'),
    splitBrain: brick.integer('numberOfEntriesInSplitBrain'),
    healing: brick.integer('numberOfEntriesPossiblyHealing'),
  };
}

/** Reads `volume profile V info peek`. */
export function parseProfile(body: XmlElement) {
  return body
    .get('volProfile')
    .all('brick')
    .map((brick) => {
      const cumulative = brick.find('cumulativeStats');
      const interval = brick.find('intervalStats');
      return {
        brick: brick.text('brickName'),
        ...(cumulative === undefined ? {} : { cumulative: parseStats(cumulative) }),
        ...(interval === undefined ? {} : { interval: parseStats(interval) }),
      };
    });
}

const nsPerS = 1e9;

function parseStats(stats: XmlElement): ProfileStats {
  const blocks = stats.find('blockStats')?.all('block') ?? [];
  const operations = stats.find('fopStats')?.all('fop') ?? [];
  return {
    duration: stats.integer('duration'),
    bytesRead: stats.integer('totalRead'),
    bytesWritten: stats.integer('totalWrite'),
    blocks: blocks
      .map((block) => ({
        size: block.integer('size'),
        reads: block.integer('reads'),
        writes: block.integer('writes'),
      }))
      .filter(({ reads, writes }) => reads > 0 || writes > 0),
    operations: operations.map((operation) => {
      const seconds = (name: string) => (operation.numberIfAny(name) ?? 0) / nsPerS;
      return {
        operation: operation.text('name').toLowerCase(),
        count: operation.integer('hits'),
        averageLatency: seconds('avgLatency'),
        minLatency: seconds('minLatency'),
        maxLatency: seconds('maxLatency'),
      };
    }),
  };
}
