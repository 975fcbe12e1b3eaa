/** What concerns one host: hooks, keys, services, webhooks. */
import { updateGeoReplicationKeys } from '../../../schemas/gluster-geo-replication-hosts.ts';
import type { FaultLab } from './fault-lab.ts';
import { around, ask, at, type Change, change, type Row } from './row.ts';
import { brick, volumeIs } from './states.ts';

const files = { asks: false };
const hook = { command: 'start', stage: 'post', name: '99fault.sh' } as const;
const folder = '/var/lib/glusterd/hooks/1/start/post';
const first = '#!/bin/sh\nexit 0\n';
const hooked = (
  file: string | undefined,
  moments: Change['moments'],
  more: Partial<Change> = {},
): Change => ({
  prepare: (lab) =>
    lab.sh(
      `cd ${folder}; rm -f ?99fault.sh; ${file === undefined ? '' : `printf '${first}' >${file}; chmod +x ${file}`}`,
    ),
  look: async (lab) => {
    const found = (await lab.call('listHooks', {})).hooks.filter(({ name }) => name === hook.name);
    return found.map(({ enabled, executable, checksum }) => ({ enabled, executable, checksum }));
  },
  moments,
  ...more,
});
const content = '#!/bin/sh\ntouch /ran\n';

const hookRows = [
  ask('listHooks', {}, files),
  ask('readHook', { ...hook, name: '00kept.sh' }, files),
  change(
    'addHook',
    { ...hook, content },
    hooked(undefined, at('fsync', 'link', 'unlink 2', 'fsync 2'), { sample: true }),
    files,
  ),
  change('updateHook', { ...hook, content }, hooked('K99fault.sh', at('fsync', 'rename', 'fsync 2')), files),
  change('enableHook', hook, hooked('K99fault.sh', at('link', 'unlink', 'fsync')), files),
  change('disableHook', hook, hooked('S99fault.sh', at('link', 'unlink', 'fsync')), files),
  change('removeHook', hook, hooked('S99fault.sh', at('unlink', 'unlink 2', 'fsync')), files),
];

const user = 'keeper';
const keyRows = [
  change(
    'updateGeoReplicationKeys',
    { ...updateGeoReplicationKeys.example, user },
    {
      prepare: (lab) =>
        lab.sh(`id ${user} >/dev/null 2>&1 || useradd --create-home ${user}; rm -rf ~${user}/.ssh*`),
      look: (lab) =>
        lab.sh(
          `cd ~${user}; ls -d .ssh 2>/dev/null && stat -c '%U %a' .ssh && cat .ssh/authorized_keys || true`,
        ),
      moments: at('mkdir', 'fchown', 'fsync', 'rename', 'rename 2', 'fsync 2'),
      steps: true,
    },
    files,
  ),
];

const bricksRun = (lab: FaultLab) => Promise.resolve(lab.h1.processes('glusterfsd').length > 0);
const serviceRows = [
  ask('getServices', {}, files),
  // Only systemd can, which runs no host of a lab.
  ask('controlService', { service: 'glusterd', action: 'restart' }, { refused: 'GlusterError' }),
  change(
    'stopAllProcesses',
    {},
    {
      prepare: async (lab) => {
        await volumeIs(lab, 'v', { status: 'started', bricks: [brick(1, 'v'), brick(2, 'v')] });
        await lab.gluster('volume', 'start', 'v', 'force');
      },
      look: bricksRun,
      moments: around('find /var/run/gluster', 'sleep 5'),
      steps: true,
    },
  ),
];

const url = 'http://127.0.0.1:9/events';
const eventsPath = '/var/lib/glusterd/events/webhooks.json';
const hooksAre = (lab: FaultLab, here: object, there: object) =>
  Promise.all(
    [here, there].map((each, i) =>
      lab.sh(
        `mkdir -p $(dirname ${eventsPath}); printf '%s' '${JSON.stringify(each)}' >${eventsPath}`,
        lab.lab.host(i + 1),
      ),
    ),
  );
const known = { [url]: { token: 'first', secret: '' } };
const posted = (here: object, there: object, words: string, more: Partial<Change> = {}): Change => ({
  prepare: (lab) => hooksAre(lab, here, there),
  prepareHost: (lab) => hooksAre(lab, here, there),
  look: async (lab) => {
    const texts = await Promise.all([1, 2].map((i) => lab.sh(`cat ${eventsPath}`, lab.lab.host(i))));
    return texts.map((text) => JSON.parse(text) as unknown);
  },
  moments: around(words),
  steps: true,
  ...more,
});
const webhookRows = [
  ask('listWebhooks', {}, files),
  change('addWebhook', { url }, posted({}, {}, 'webhook-add', { sample: true })),
  change('updateWebhook', { url, token: 'second' }, posted(known, known, 'webhook-mod')),
  change('deleteWebhook', { url }, posted(known, known, 'webhook-del')),
  change('syncWebhooks', {}, posted(known, {}, 'gluster-eventsapi sync')),
];

export async function prepareHost(lab: FaultLab): Promise<void> {
  await volumeIs(lab, 'v', { status: 'started', bricks: [brick(1, 'v'), brick(2, 'v')] });
  await lab.sh(`cd ${folder}; printf '${first}' >S00kept.sh; chmod +x S00kept.sh`);
}

export const hostFamilies: Readonly<Record<string, readonly Row[]>> = {
  hooks: hookRows,
  keys: keyRows,
  webhooks: webhookRows,
  services: serviceRows,
};
