/** A daemon's own life: stopping, dying, being told, being configured wrongly. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { startDaemon, type TestDaemon } from '../../lib/daemon.ts';
import { ServiceManagerSocket } from '../../lib/service-manager.ts';
import { until } from '../../lib/until.ts';
import { useBus } from './bus.ts';

const hostbusd = fileURLToPath(new URL('../../../src/bin/hostbusd.ts', import.meta.url));
const run = promisify(execFile);

async function stopsInTime(daemon: TestDaemon, signal: NodeJS.Signals): Promise<void> {
  const beginMs = performance.now();
  daemon.process.kill(signal);
  const { code } = await daemon.exited;
  assert.equal(code, 0, daemon.stderr());
  const tookMs = performance.now() - beginMs;
  assert.ok(tookMs < 5000, `it took ${Math.round(tookMs)} ms`);
}

describe('the life of a daemon', () => {
  const bus = useBus();

  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    test(`${signal}: it says host.stopping, tells its tasks to stop, and ends with 0 within 5 s.`, async () => {
      const { client } = bus;
      const hostId = signal.toLowerCase();
      const host = await bus.startHost(hostId, { HOSTBUS_TASKS_LANES_COPY: '1' });
      const tap = await client.tap(`${hostId}.#`);
      const calls = [
        client.start(hostId, 'work', { ms: 3_600_000 }, 'runs'),
        client.start(hostId, 'stubborn', { ms: 3_600_000 }, 'stubborn'),
        client.start(hostId, 'laneWork', { ms: 3_600_000 }, 'lane'),
        client.start(hostId, 'laneWork', { ms: 3_600_000 }, 'queued'),
      ];
      await client.result(hostId, 'ping');
      await stopsInTime(host, signal);
      for (const call of calls) {
        const answer = JSON.parse((await client.answer(call)).content.toString()) as {
          error: { code: number };
        };
        assert.equal(answer.error.code, -32008);
      }
      await until('the last event', () => tap.namesOf('queued').includes('cancelled'));
      assert.ok(tap.namesOf(hostId).includes('stopping'));
      for (const id of ['runs', 'stubborn', 'lane']) {
        await until(`the end of ${id}`, () => tap.namesOf(id).at(-1) === 'cancelled');
      }
    });
  }

  test('After SIGKILL the host starts at once, with a new boot ID, and knows no earlier task.', async () => {
    const { client } = bus;
    const first = await bus.startHost('phoenix');
    client.start('phoenix', 'work', { ms: 3_600_000 }, 'forgotten');
    const { bootId } = await client.result<{ bootId: string }>('phoenix', 'ping');
    await first.kill();
    await bus.startHost('phoenix');
    const error = await client.error('phoenix', 'getTaskStatus', { taskId: 'forgotten' });
    assert.equal(error.code, -32002);
    assert.notEqual(error.data.bootId, bootId);
    const next = client.start('phoenix', 'work', { ms: 0 }, 'forgotten');
    const { properties } = await client.answer(next);
    assert.equal(properties.headers?.['hostbus-boot'], error.data.bootId);
  });

  describe('without an answering broker', () => {
    // Accepts connections and never says a word, as a broker does that hangs.
    const silent = createServer((socket) => void socket.on('error', () => {}));
    let silentUrl = '';
    before(async () => {
      await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
      const address = silent.address();
      assert.ok(typeof address === 'object' && address !== null);
      silentUrl = `amqp://127.0.0.1:${address.port}`;
    });
    after(() => void silent.close());

    test('It stops within 5 s while it tries a port that nobody listens on.', async () => {
      const daemon = await startDaemon({ hostId: 'lost', brokerUrl: 'amqp://127.0.0.1:1', wait: false });
      await until('it has tried', () => daemon.log.some(({ msg }) => msg === 'no session with the broker'));
      await stopsInTime(daemon, 'SIGTERM');
    });

    test('It stops within 5 s while it waits for a broker that hangs.', async () => {
      const connected = new Promise((resolve) => silent.once('connection', resolve));
      const daemon = await startDaemon({ hostId: 'hung', brokerUrl: silentUrl, wait: false });
      await connected;
      await stopsInTime(daemon, 'SIGTERM');
    });
  });

  test('It stops within 5 s when its broker hangs under it.', async () => {
    const { startPrivateBroker } = await import('../../../rabbitmq/private-broker.ts');
    const broker = await startPrivateBroker();
    try {
      const daemon = await startDaemon({ hostId: 'stuck', brokerUrl: broker.url });
      broker.pause();
      await stopsInTime(daemon, 'SIGTERM');
    } finally {
      broker.resume();
      await broker.stop();
    }
  });

  test('systemd is told READY, WATCHDOG while it lives, and STOPPING.', async () => {
    await using manager = await ServiceManagerSocket.open();
    const host = await bus.startHost('served', manager.env(200));
    await until('READY=1', () => manager.heard.includes('READY=1'));
    await until('three watchdogs', () => manager.heard.filter((line) => line === 'WATCHDOG=1').length >= 3);
    host.process.kill('SIGSTOP');
    host.process.kill('SIGCONT');
    assert.equal(await host.stop(), 0);
    await until('STOPPING=1', () => manager.heard.includes('STOPPING=1'));
  });

  describe('configured wrongly', () => {
    const dir = mkdtempSync(join(tmpdir(), 'hostbus-config-'));
    after(() => rmSync(dir, { recursive: true }));
    const cases: [title: string, toml: string, env: Record<string, string>, words: RegExp[]][] = [
      ['no host ID', '', {}, [/host_id/, /missing/, /HOSTBUS_HOST_ID/]],
      ['a host ID of wrong characters', 'host_id = "No_Good"', {}, [/host_id/, /a-z/]],
      ['an unknown key', 'host_id = "h1"\n[tasks]\nmaximum = 5', {}, [/tasks\.maximum/]],
      [
        'many unknown keys',
        `host_id = "h1"\n[tasks]\n${Array.from({ length: 20 }, (_, i) => `k${i} = 1`).join('\n')}`,
        {},
        [/tasks\.k0: there is no such key/],
      ],
      ['a wrong type', 'host_id = "h1"\n[tasks]\nmax = "many"', {}, [/tasks\.max/, /integer/]],
      [
        'a value out of range',
        'host_id = "h1"',
        { HOSTBUS_TASKS_MAX: '0' },
        [/tasks\.max/, /at least 1|>= 1/],
      ],
      ['an unknown variable', 'host_id = "h1"', { HOSTBUS_TASKS_MAXIMUM: '1' }, [/HOSTBUS_TASKS_MAXIMUM/]],
      [
        'a URL of another scheme',
        'host_id = "h1"',
        { HOSTBUS_BROKER_URL: 'http://x' },
        [/broker\.url/, /amqp/],
      ],
      [
        'a URL that cannot be read',
        'host_id = "h1"',
        { HOSTBUS_BROKER_URL: 'amqp://u:a/b@h' },
        [/broker\.url/],
      ],
      [
        'a list of URLs with a wrong one',
        'host_id = "h1"\n[broker]\nurl = ["amqp://a", "x"]',
        {},
        [/broker\.url/],
      ],
      [
        'addresses for monitoring that are none',
        'host_id = "h1"',
        { HOSTBUS_MONITORING_LISTEN: 'localhost:65536', HOSTBUS_TRACES_ENDPOINT: 'localhost:4318' },
        [/monitoring\.listen: .*ADDRESS:PORT/, /traces\.endpoint: .*http:/],
      ],
      [
        'a TLS file that is not there',
        'host_id = "h1"\n[broker.tls]\nca = "/nowhere/ca.pem"',
        {},
        [/\/nowhere\/ca\.pem/],
      ],
      ['broken TOML', 'host_id = ', {}, [/config\.toml:1/]],
    ];
    for (const [title, toml, env, words] of cases) {
      test(`With ${title} it ends with 78 and names what is expected.`, async () => {
        const file = join(dir, 'config.toml');
        writeFileSync(file, toml);
        const outcome = await run(process.execPath, [hostbusd, '--config', file], {
          env: { PATH: process.env.PATH, ...env },
          timeout: 10_000,
        }).catch((error: { code?: number; stderr?: string }) => error);
        assert.equal('code' in outcome ? outcome.code : 0, 78);
        for (const word of words) assert.match(outcome.stderr ?? '', word);
      });
    }

    test('A file that is not there: 78; a wrong argument: 64.', async () => {
      const code = (args: string[]) =>
        run(process.execPath, [hostbusd, ...args]).then(
          () => 0,
          (error: { code: number }) => error.code,
        );
      assert.deepEqual(
        await Promise.all([code(['--config', '/nowhere.toml']), code(['--nonsense'])]),
        [78, 64],
      );
    });
  });
});
