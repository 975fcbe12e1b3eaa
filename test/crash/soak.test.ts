/**
 * Real daemons, killed at random moments while they copy: nothing is lost, nothing is half-believed, nothing is left over.
 *
 * Short by default. HOSTBUS_SOAK_SECONDS=600 kills for ten minutes; HOSTBUS_SOAK_SEED repeats the choices (not the moments) of a run.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomBytes, randomUUID } from 'node:crypto';
import { mkdir, mkdtemp, open, readdir, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type PrivateBroker, startPrivateBroker } from '../../rabbitmq/private-broker.ts';
import type { ImageStatus } from '../../schemas/image.ts';
import { type Client, connect } from '../../src/client/client.ts';
import { startDaemon, type TestDaemon } from '../lib/daemon.ts';
import { until } from '../lib/until.ts';

const chaosSeconds = Number(process.env.HOSTBUS_SOAK_SECONDS ?? 3);
const seed = Number(process.env.HOSTBUS_SOAK_SEED ?? randomBytes(4).readUInt32LE());
const mib = 1024 * 1024;
const copiesAtOnce = 4;
const hostIds = ['h1', 'h2', 'h3'] as const;
type HostId = (typeof hostIds)[number];

/** mulberry32: the same numbers for the same seed. */
function randomOf(start: number): () => number {
  let state = start;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

interface World {
  client: Client;
  domainId: string;
  root: string;
  /** Those that run; a host that is being started is not among them. */
  daemons: Map<HostId, TestDaemon>;
  start(hostId: HostId): Promise<void>;
  /** Image ID of each source, and of each copy the source it has. */
  sources: string[];
  copies: Map<string, string>;
  counts: { kills: number; copies: number; continues: number; takeOvers: number; auto: number };
  random: () => number;
}

function pick<T>({ random }: World, from: readonly T[]): T {
  const chosen = from[Math.floor(random() * from.length)];
  assert.ok(chosen !== undefined);
  return chosen;
}

async function makeWorld(t: TestContext): Promise<World> {
  const root = await realpath(await mkdtemp(join(tmpdir(), 'hostbus-soak-')));
  const broker: PrivateBroker = await startPrivateBroker();
  const domainId = randomUUID();
  const daemons = new Map<HostId, TestDaemon>();
  const counts = { kills: 0, copies: 0, continues: 0, takeOvers: 0, auto: 0 };
  const client = await connect(broker.url);
  t.after(async () => {
    await client.close();
    for (const daemon of daemons.values()) await daemon.kill();
    await broker.stop();
    await rm(root, { recursive: true });
  });
  await mkdir(`${root}/storage`);
  const start = async (hostId: HostId) => {
    const config = `${root}/${hostId}.toml`;
    const way = hostId === 'h1' ? 'auto' : 'manual';
    await writeFile(
      config,
      `[storage]\nroots = ["${root}"]\n[[storage.domains]]\nid = "${domainId}"\npath = "${root}/storage"\ncontinue_copies = "${way}"\n`,
    );
    const daemon = await startDaemon({ hostId, brokerUrl: broker.url, args: ['--config', config] });
    daemons.set(hostId, daemon);
  };
  return {
    client,
    domainId,
    root,
    daemons,
    start,
    sources: [],
    copies: new Map(),
    counts,
    random: randomOf(seed),
  };
}

async function makeSources(world: World): Promise<void> {
  const { client, domainId, root } = world;
  const h1 = client.host('h1');
  await until('the domain is made', async () => {
    try {
      return await h1.call('createStorageDomain', { domainId, path: `${root}/storage` });
    } catch {
      return undefined;
    }
  });
  for (const dataMib of [96, 64]) {
    const path = `${root}/disk-${dataMib}`;
    const file = await open(path, 'w');
    await file.truncate(2 * dataMib * mib);
    // Data and holes by turns.
    for (let at = 0; at < dataMib; at += 16)
      await file.write(randomBytes(16 * mib), 0, 16 * mib, 2 * at * mib);
    await file.sync();
    await file.close();
    const imageId = randomUUID();
    const { taskId } = await h1.call('importImage', { domainId, imageId, path, format: 'raw' });
    const task = await h1.call('waitTask', { taskId });
    assert.equal(task.state, 'succeeded', JSON.stringify(task.error));
    world.sources.push(imageId);
  }
}

async function imagesSeenBy(world: World, hostId: HostId): Promise<ImageStatus[]> {
  const { images } = await world.client
    .host(hostId)
    .call('listImages', { domainId: world.domainId, limit: 1000 });
  return images;
}

/** Asks a host for something that may well fail: it is killed, or another one is quicker. */
async function attempt(work: Promise<unknown>): Promise<boolean> {
  try {
    await work;
    return true;
  } catch {
    return false;
  }
}

async function startCopy(world: World): Promise<void> {
  const { client, domainId, sources, copies, counts } = world;
  const imageId = randomUUID();
  const source = pick(world, sources);
  copies.set(imageId, source);
  const host = client.host(pick(world, [...world.daemons.keys()]));
  const ok = await attempt(
    host.call(
      'copyImage',
      { source: { domainId, imageId: source }, target: { domainId, imageId } },
      { timeout: 5000 },
    ),
  );
  if (ok) counts.copies++;
}

async function goOnWith(world: World, image: ImageStatus, hostId: HostId): Promise<void> {
  const { client, domainId, counts } = world;
  const { imageId, volumeId } = image;
  const host = client.host(hostId);
  try {
    const answer = await host.call('continueImageCopy', { domainId, imageId }, { timeout: 5000 });
    counts.continues++;
    if (answer.image.volumeId !== volumeId) counts.takeOvers++;
  } catch {
    // Killed, or another one was quicker.
  }
}

async function look(world: World): Promise<ImageStatus[] | undefined> {
  const hostId = pick(world, [...world.daemons.keys()]);
  try {
    return await imagesSeenBy(world, hostId);
  } catch {
    return undefined;
  }
}

function holds(images: readonly ImageStatus[], hostId: HostId): boolean {
  return images.some(({ status, copy }) => status === 'copying' && copy?.holder?.hostId === hostId);
}

async function kill({ daemons, counts }: World, hostId: HostId): Promise<void> {
  await daemons.get(hostId)?.kill();
  daemons.delete(hostId);
  counts.kills++;
}

/** h2 dies in the middle of a copy and stays dead: somebody has to take over from a host that says nothing any more. */
async function leave(world: World): Promise<void> {
  const { client, domainId, sources, copies } = world;
  const h2 = client.host('h2');
  await until('h2 copies', async () => {
    const imageId = randomUUID();
    const source = pick(world, sources);
    copies.set(imageId, source);
    const params = { source: { domainId, imageId: source }, target: { domainId, imageId } };
    return (await attempt(h2.call('copyImage', params))) && holds(await imagesSeenBy(world, 'h2'), 'h2');
  });
  await kill(world, 'h2');
}

/** Kills, restarts, copies and goes on with copies until the time is over. */
async function chaos(world: World): Promise<void> {
  const { daemons, random } = world;
  const startedMs = performance.now();
  const asked = new Set<Promise<unknown>>();
  const inBackground = (work: Promise<unknown>) => {
    asked.add(work);
    void work.finally(() => asked.delete(work));
  };
  while (performance.now() - startedMs < chaosSeconds * 1000) {
    const images = (await look(world)) ?? [];
    const busy = images.filter(({ status }) => status === 'copying').length;
    for (let n = busy; n < copiesAtOnce; n++) inBackground(startCopy(world));
    for (const image of images.filter(({ status }) => status === 'interrupted')) {
      const hosts = [...daemons.keys()].filter((hostId) => hostId !== 'h1');
      if (hosts.length > 0 && random() < 0.5) inBackground(goOnWith(world, image, pick(world, hosts)));
    }
    // The moment is the point here, not a wait for something.
    await sleep(50 + random() * 400);
    const victim = pick(world, [...daemons.keys()]);
    await kill(world, victim);
    await world.start(victim);
  }
  await leave(world);
  await Promise.all(asked);
}

/** Everything that was begun is brought to its end: by whoever is there. */
async function finish(world: World): Promise<ImageStatus[]> {
  return until(
    'all images are ok',
    async () => {
      const images = await imagesSeenBy(world, 'h3').catch(() => undefined);
      if (images === undefined) return undefined;
      for (const image of images) assert.notEqual(image.status, 'broken', image.message);
      const interrupted = images.filter(({ status }) => status === 'interrupted');
      await Promise.all(interrupted.map((image) => goOnWith(world, image, 'h3')));
      return images.every(({ status }) => status === 'ok') ? images : undefined;
    },
    120_000,
  );
}

async function countAuto(world: World): Promise<void> {
  const { tasks } = await world.client
    .host('h1')
    .call('listTasks', { methods: ['continueImageCopy'], limit: 1000 });
  world.counts.auto += tasks.filter(({ user }) => user === undefined).length;
}

async function restart(world: World, hostId: HostId): Promise<void> {
  await world.daemons.get(hostId)?.kill();
  await world.start(hostId);
  await until(`${hostId} has the domain`, async () => {
    const { domains } = await world.client.host(hostId).call('getHostInfo', {});
    return domains[0]?.status === 'up';
  });
}

test('daemons that are killed at random moments lose nothing and leave nothing', {
  timeout: (chaosSeconds + 200) * 1000,
}, async (t) => {
  t.diagnostic(`seed ${seed}`);
  const world = await makeWorld(t);
  const { domainId, root, copies, counts } = world;
  await Promise.all(hostIds.map((hostId) => world.start(hostId)));
  await makeSources(world);
  for (const hostId of ['h2', 'h3'] as const) {
    await until('the domain is connected', async () =>
      attempt(world.client.host(hostId).call('connectStorageDomain', { domainId, path: `${root}/storage` })),
    );
  }
  const phases = [performance.now()];
  const phaseEnds = () => phases.push(performance.now());
  await chaos(world);
  phaseEnds();
  await countAuto(world);
  const images = await finish(world);
  phaseEnds();
  // Each host once more, so that it finds what it left itself.
  await Promise.all(hostIds.map((hostId) => restart(world, hostId)));
  const path = `${root}/storage/${domainId}/images`;
  assert.deepEqual((await readdir(path)).sort(), images.map(({ imageId }) => imageId).sort());
  const dataOf = new Map(images.map(({ imageId, volumeId }) => [imageId, `${path}/${imageId}/${volumeId}`]));
  for (const image of images) {
    const { imageId, volumeId } = image;
    const names = await readdir(`${path}/${imageId}`);
    assert.deepEqual(names.sort(), [volumeId, `${volumeId}.lease`, `${volumeId}.meta`].sort());
    const source = copies.get(imageId);
    if (source === undefined) continue;
    assert.equal(image.generation, 1);
    execFileSync('cmp', [dataOf.get(source) ?? '', dataOf.get(imageId) ?? '']);
  }
  phaseEnds();
  const seconds = phases.slice(1).map((end, i) => ((end - (phases[i] ?? 0)) / 1000).toFixed(1));
  const made = images.length - world.sources.length;
  t.diagnostic(
    `${counts.kills} kills, ${made} copies complete, ${counts.continues} continued by a caller ` +
      `(${counts.takeOvers} in a new file), ${counts.auto} by the last boot of h1 itself; chaos, end and checks took ${seconds.join(', ')} s`,
  );
  assert.ok(made > 0 && counts.kills > 0);
});
