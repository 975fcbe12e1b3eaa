/** Rebalances and removals of bricks, on volumes of their own. */
import { until } from '../../lib/until.ts';
import type { FaultLab } from './fault-lab.ts';
import { ask, byCommand, type Change, change } from './row.ts';
import { brick, operationIsAbsent, operationLook, started, volumeLook } from './states.ts';

const removal = (name: string) => ({ volume: name, bricks: [brick(2, name)] });
const rebalance = ['rebalance', 'moved'];
const shrink = (name: string) => ['remove-brick', name, brick(2, name)];
const still = async (lab: FaultLab, name: string, stop: readonly string[]) => {
  await started(name)(lab);
  await operationIsAbsent(lab, name, ...stop, 'stop');
};
const moving = async (lab: FaultLab, name: string, words: readonly string[]) => {
  await started(name)(lab);
  if ((await operationLook(lab, name)).length > 0) return;
  await still(lab, name, words);
  await lab.gluster('volume', ...words, 'start');
};
const moves = (name: string, words: string, prepare: Change['prepare'], more: Partial<Change> = {}) =>
  byCommand(words, (lab) => operationLook(lab, name), prepare, more);
const shrunk = async (lab: FaultLab) => {
  await moving(lab, 'shrunk', shrink('shrunk'));
  await until('all is moved', async () => {
    const { status } = await lab.call('getBrickRemovalStatus', removal('shrunk'));
    return status === 'completed';
  });
};

export const operationRows = [
  ask('getOperationStatuses', {}),
  ask('getVolumeRebalanceStatus', { volume: 'moved' }),
  ask('getBrickRemovalStatus', removal('removed')),
  change(
    'startVolumeRebalance',
    { volume: 'moved' },
    moves('moved', 'volume rebalance moved start', (lab) => still(lab, 'moved', rebalance), { sample: true }),
  ),
  change(
    'stopVolumeRebalance',
    { volume: 'moved' },
    moves('moved', 'volume rebalance moved stop', (lab) => moving(lab, 'moved', rebalance)),
  ),
  change(
    'startBrickRemoval',
    removal('removed'),
    moves('removed', '/removed start', (lab) => still(lab, 'removed', shrink('removed'))),
  ),
  change(
    'stopBrickRemoval',
    removal('removed'),
    moves('removed', '/removed stop', (lab) => moving(lab, 'removed', shrink('removed'))),
  ),
  change('commitBrickRemoval', removal('shrunk'), byCommand('/shrunk commit', volumeLook('shrunk'), shrunk)),
  change('forceBrickRemoval', removal('cut'), byCommand('/cut force', volumeLook('cut'), started('cut'))),
];

/** What the verbs that only look need. */
export async function prepareOperations(lab: FaultLab): Promise<void> {
  await moving(lab, 'moved', rebalance);
  await moving(lab, 'removed', shrink('removed'));
}
