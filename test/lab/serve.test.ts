/** `npm run lab -- serve`, as people run it. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { identify, isAlive, type ProcessIdentity, withDescendants } from '../../rabbitmq/process-identity.ts';
import { connect } from '../../src/client/client.ts';
import { until } from '../lib/until.ts';
import { labRefusal, startLab } from './lab.ts';
import { traceLab } from './traces.ts';

const skip = labRefusal() ?? false;

test('serve: a host that comes back is served again; Ctrl-C ends it and leaves nothing', {
  skip,
}, async () => {
  const lab = await startLab({ hosts: 1 });
  const nothingLeft = await traceLab(lab.state);
  const host = lab.host(1);
  const argv = [join(import.meta.dirname, 'main.ts'), 'serve', '--name', lab.name];
  const child = spawn(process.execPath, argv, { stdio: ['ignore', 'pipe', 'inherit'] });
  try {
    const said: string[] = [];
    createInterface({ input: child.stdout }).on('line', (line) => said.push(line));
    const starts = () => said.filter((line) => line === 'h1: hostbusd serves').length;
    await until('it serves', () => starts() === 1);
    const [, url = ''] = /^export HOSTBUS_URL=(amqp:\S+)$/.exec(said[0] ?? '') ?? [];
    const { bootId } = await pingBy(url);

    await host.powerCut();
    await until('it has ended with its host', () => said.includes('h1: hostbusd has ended'));
    await host.start();
    await until('it serves again', () => starts() === 2);
    assert.notEqual((await pingBy(url)).bootId, bootId);

    const identity = identify(child.pid ?? 0);
    assert.ok(identity);
    const family = withDescendants(identity);
    const directories = brokerDirectories(family);
    assert.equal(directories.length, 1);
    const ended = once(child, 'exit');
    child.kill('SIGINT');
    assert.deepEqual(await ended, [0, null]);
    assert.deepEqual(family.filter(isAlive), []);
    assert.deepEqual(directories.filter(existsSync), []);
  } finally {
    child.kill('SIGKILL');
    await lab.stop();
  }
  assert.deepEqual(await nothingLeft(), []);
});

async function pingBy(url: string) {
  await using client = await connect(url);
  return await client.host('h1').call('ping', {});
}

function brokerDirectories(family: readonly ProcessIdentity[]): string[] {
  const found = family.flatMap(
    ({ pid }) => readFileSync(`/proc/${pid}/environ`, 'utf8').match(/\/[^\0=]*\/private-broker-\w+/g) ?? [],
  );
  return [...new Set(found)];
}
