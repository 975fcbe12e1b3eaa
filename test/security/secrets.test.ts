/** Secrets are planted wherever one can be given; whatever anybody can read is kept, and none of them is in it. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { makeDefinitions } from '../../rabbitmq/definitions.ts';
import { type PrivateBroker, startPrivateBroker } from '../../rabbitmq/private-broker.ts';
import { type Client, connect } from '../../src/client/client.ts';
import { loadConfig, printConfig } from '../../src/daemon/config.ts';
import { startDaemon, type TestDaemon } from '../lib/daemon.ts';
import { until } from '../lib/until.ts';

const programs = fileURLToPath(new URL('../../src/bin/', import.meta.url));
const dir = mkdtempSync(join(tmpdir(), 'hostbus-secrets-'));
/** Every secret has this in it. */
const mark = 'pl4nted';
const secret = (name: string) => `${mark}-${name}`;
const { definitions, passwords } = makeDefinitions({
  hosts: ['h1'],
  engines: ['engine'],
  passwords: { 'hostbus-h1': `host@${mark}`, engine: `engine:/${mark}` },
});
let broker: PrivateBroker;

before(async () => {
  broker = await startPrivateBroker({ definitions });
});
after(async () => {
  await broker?.stop();
  rmSync(dir, { recursive: true });
});

const urlOf = (user: string) => broker.urlFor(user, passwords[user] ?? '');

function noneIn(where: string, text: string): void {
  const place = text.indexOf(mark);
  assert.equal(place, -1, `${where}: ${text.slice(Math.max(0, place - 200), place + 50)}`);
}

async function run(program: 'hostbusd' | 'hostbus', args: string[], env: Record<string, string>) {
  return new Promise<{ code: number; text: string }>((resolve) => {
    const options = { env: { PATH: process.env.PATH, ...env }, timeout: 20_000 };
    execFile(process.execPath, [join(programs, `${program}.ts`), ...args], options, (error, stdout, stderr) =>
      resolve({ code: error === null ? 0 : Number(error.code), text: stdout + stderr }),
    );
  });
}

describe('a daemon that works', () => {
  /** Stands where Gluster's programs do: tells what a child of the daemon sees, repeats its arguments, and fails. */
  const childSees = join(dir, 'child-sees');
  const standIn = `#!/bin/sh\ncat /proc/$$/environ >>${childSees}\necho "cannot: $*" >&2\nexit 2\n`;
  const said: string[] = [];
  let daemon: TestDaemon;
  let client: Client;

  before(async () => {
    for (const name of ['gluster', 'gluster-eventsapi']) {
      writeFileSync(join(dir, name), standIn);
      chmodSync(join(dir, name), 0o755);
    }
    daemon = await startDaemon({
      hostId: 'h1',
      brokerUrl: urlOf('hostbus-h1'),
      env: {
        PATH: `${dir}:${process.env.PATH}`,
        HOSTBUS_LOG_LEVEL: 'trace',
        HOSTBUS_ACCESS_USERS: 'engine=admin',
        HOSTBUS_BROKER_TLS_PASSPHRASE: secret('passphrase'),
      },
    });
    client = await connect(urlOf('engine'));
  });
  after(async () => {
    await client?.close();
    await daemon?.kill();
  });

  test('tells none to callers and subscribers, whatever fails', async () => {
    const events = client.events();
    await events.ready;
    const h1 = client.host('h1');
    const webhook = { url: 'http://engine.example/', token: secret('token'), secret: secret('secret') };
    const calls: [string, object][] = [
      ['gluster.addWebhook', webhook],
      ['gluster.updateWebhook', webhook],
      ['gluster.addWebhook', { ...webhook, token: `${secret('token')} with blanks` }],
      ['gluster.addWebhook', { url: `http://user:${secret('webhook')}@engine.example/` }],
      ['gluster.addWebhook', { ...webhook, password: secret('unknown') }],
      ['gluster.listVolumes', {}],
    ];
    for (const [method, params] of calls) {
      await assert.rejects(h1.callUntyped(method, params), (error: Error) => {
        said.push(JSON.stringify({ ...error, message: error.message }));
        return true;
      });
    }
    for (const method of ['listTasks', 'getHostInfo', 'getHostStats', 'rpc.discover'])
      said.push(JSON.stringify(await h1.callUntyped(method, {})));
    await h1.callUntyped('createStorageDomain', { domainId: secret('id'), path: '/' }).catch(() => {});
    let ended = 0;
    for await (const event of events) {
      said.push(JSON.stringify(event));
      if (event.event === 'failed' && ++ended === 2) break;
    }
    assert.ok(
      said.some((text) => text.includes('cannot: ')),
      'what the program said is told',
    );
    noneIn('answers and events', said.join('\n'));
  });

  test('hands none to its children, and has none in its command line', () => {
    const seen = readFileSync(childSees, 'utf8');
    assert.match(seen, /PATH=/);
    noneIn('environment of a child', seen);
    for (const name of ['cmdline', 'comm', 'status']) {
      noneIn(`/proc/PID/${name}`, readFileSync(`/proc/${daemon.pid}/${name}`, 'utf8'));
    }
    assert.ok(readFileSync(`/proc/${daemon.pid}/environ`, 'utf8').includes(mark), 'they were planted');
  });

  test('logs none at the lowest level, nor when it loses the broker and is refused', async () => {
    await broker.ctl('change_password', 'hostbus-h1', 'another');
    await broker.ctl('close_all_user_connections', 'hostbus-h1', 'for the test');
    await until('it was refused', () => daemon.log.some(({ msg }) => msg === 'no session with the broker'));
    await broker.kill();
    await until('it found no broker', () => JSON.stringify(daemon.log).includes('ECONNREFUSED'));
    const log = JSON.stringify(daemon.log) + daemon.stderr();
    assert.match(log, /hostbus-h1:\*\*\*@127\.0\.0\.1/);
    assert.match(log, /Program started/);
    noneIn('the log', log);
    await broker.restart();
  });
});

describe('a daemon that cannot work', () => {
  const file = join(dir, 'hostbusd.toml');
  const url = (password: string) => `amqp://u:${password}@127.0.0.1:1`;
  const cases: [what: string, toml: string, env?: Record<string, string>][] = [
    ['a URL of another scheme', `[broker]\nurl = "http://u:${secret('url')}@h"`],
    ['a URL that cannot be read', `[broker]\nurl = "amqp://u:${secret('url')}/more@h"`],
    ['a URL with a raw question mark', `[broker]\nurl = "amqp://u:${secret('url')}?x@h"`],
    ['a URL with a raw hash', `[broker]\nurl = "amqp://u:${secret('url')}#x@h"`],
    ['a text that does not end', `[broker]\nurl = "amqp://u:${secret('url')}@h`],
    ['text behind a text', `[broker]\nurl = "amqp://u:p@h" ${secret('behind')}`],
    ['a passphrase that is no text', `[broker.tls]\npassphrase = [ "${secret('passphrase')}" ]`],
    ['a key that there is not', `[broker]\npassword = "${secret('password')}"`],
    ['a list with a wrong URL', `[broker]\nurl = [ "${url(secret('one'))}", "${secret('two')}" ]`],
    ['a section that is none', `broker = "${secret('section')}"`],
    [
      'variables',
      '',
      { HOSTBUS_BROKER_URL: `[ "${secret('json')}`, HOSTBUS_BROKER_PASSWORD: secret('variable') },
    ],
  ];
  for (const [what, toml, env = {}] of cases) {
    test(`says nothing of what is secret: ${what}`, () => {
      writeFileSync(file, `host_id = "h1"\n${toml}\n`);
      assert.throws(
        () => loadConfig(file, env),
        (error: Error) => {
          assert.equal(error.name, 'ConfigError');
          noneIn('the error', error.message);
          return true;
        },
      );
    });
  }

  for (const password of ['plain', 'with@', 'with%40%2F%3A']) {
    test(`masks passwords in any place where it prints its configuration: ${password}`, () => {
      const urls = [url(secret(password)), `amqps://u:${password}${mark}@other.example/v`];
      const env = {
        HOSTBUS_HOST_ID: 'h1',
        HOSTBUS_BROKER_URL: JSON.stringify(urls),
        HOSTBUS_BROKER_TLS_PASSPHRASE: secret('passphrase'),
      };
      noneIn('--print-config', printConfig(loadConfig(undefined, env)));
    });
  }

  test('says nothing of what is secret on its standard error, either', async () => {
    const HOSTBUS_BROKER_URL = `http://u:${secret('url')}@h`;
    const { code, text } = await run('hostbusd', [], { HOSTBUS_HOST_ID: 'h1', HOSTBUS_BROKER_URL });
    assert.equal(code, 78, text);
    noneIn('standard error', text);
  });
});

test('the command line tells none: not refused, not cut off, not used wrongly, not in completions', async () => {
  const away = `amqp://engine:${secret('away')}@127.0.0.1:1`;
  const wrong = broker.urlFor('engine', secret('wrong'));
  const call = ['call', 'h1', 'ping', '--timeout', '2'];
  const cases: [args: string[], url: string, code: number][] = [
    [call, wrong, 5],
    [[...call, '--json'], wrong, 5],
    [call, away, 5],
    [[...call, '--json'], away, 5],
    [['hosts', '--nonsense'], away, 2],
    [call, `http://engine:${secret('scheme')}@h`, 2],
    [[...call, '--json'], `amqp://engine:${secret('unreadable')}/@h:x`, 2],
    [[...call, '--url', away], 'amqp://x', 5],
    [['completion', 'bash'], away, 0],
    [['--help'], away, 0],
  ];
  const outcomes = await Promise.all(
    cases.map(([args, url]) =>
      run('hostbus', args, { HOSTBUS_URL: url, HOSTBUS_TLS_PASSPHRASE: secret('passphrase') }),
    ),
  );
  for (const [i, { code, text }] of outcomes.entries()) {
    const [args, , expected] = cases[i] ?? [[], '', 0];
    noneIn(args.join(' '), text);
    assert.equal(code, expected, `${args.join(' ')}: ${text}`);
  }
});
