/** TLS from end to end: certificates of an authority of one's own let people in, and everything else is refused in words that help. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { copyFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { makeDefinitions } from '../../rabbitmq/definitions.ts';
import { type PrivateBroker, startPrivateBroker } from '../../rabbitmq/private-broker.ts';
import { connect } from '../../src/client/client.ts';
import { type Certificate, makeAuthority } from '../lib/certificates.ts';
import { startDaemon } from '../lib/daemon.ts';
import { until } from '../lib/until.ts';

const hostbus = fileURLToPath(new URL('../../src/bin/hostbus.ts', import.meta.url));
const dir = mkdtempSync(join(tmpdir(), 'hostbus-tls-'));
const passphrase = 'of-the-key';

/** Users who have no password: their certificates say who they are. */
const { definitions } = makeDefinitions({ hosts: ['h1'], engines: ['engine'], withoutPasswords: true });
/** As rabbitmq.conf tells for logging in by certificate. */
const config = [
  'auth_mechanisms.1 = PLAIN',
  'auth_mechanisms.2 = EXTERNAL',
  'ssl_cert_login_from = common_name',
].join('\n');

let broker: PrivateBroker;
let tlsPort = '';
let caFile = '';
let otherCaFile = '';
let server: Certificate;
let oldServer: Certificate;
let clients: Record<'host' | 'engine' | 'locked' | 'foreign' | 'expired', Certificate>;

before(async () => {
  const [ca, otherCa] = await Promise.all([makeAuthority(dir, 'ca'), makeAuthority(dir, 'other-ca')]);
  const serverOptions = {
    subject: 'localhost',
    usage: 'serverAuth',
    alternativeNames: 'DNS:localhost',
  } as const;
  const client = (subject: string) => ({ subject, usage: 'clientAuth' }) as const;
  const [good, old, host, engine, locked, foreign, expired] = await Promise.all([
    ca.issue('server', serverOptions),
    ca.issue('old-server', { ...serverOptions, expired: true }),
    ca.issue('host', client('hostbus-h1')),
    ca.issue('engine', client('engine')),
    ca.issue('locked', { ...client('engine'), passphrase }),
    otherCa.issue('foreign', client('engine')),
    ca.issue('expired', { ...client('engine'), expired: true }),
  ]);
  [caFile, otherCaFile, server, oldServer] = [ca.caFile, otherCa.caFile, good, old];
  clients = { host, engine, locked, foreign, expired };
  broker = await startPrivateBroker({
    definitions,
    tls: { caFile, ...server, requireClientCertificate: true },
    plugins: ['rabbitmq_auth_mechanism_ssl'],
    config,
  });
  tlsPort = new URL(broker.tlsUrl ?? '').port;
});
after(async () => {
  await broker?.stop();
  rmSync(dir, { recursive: true });
});

interface Way {
  url: string;
  ca?: string;
  certificate?: Certificate;
  passphrase?: string;
}

const environment = (prefix: string, { ca, certificate, passphrase }: Way) =>
  Object.fromEntries(
    [
      [`${prefix}_CA`, ca],
      [`${prefix}_CERT`, certificate?.certFile],
      [`${prefix}_KEY`, certificate?.keyFile],
      [`${prefix}_PASSPHRASE`, passphrase],
    ].filter((entry): entry is [string, string] => entry[1] !== undefined),
  );

function runHostbus(way: Way, ...words: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const env = { PATH: process.env.PATH, HOSTBUS_URL: way.url, ...environment('HOSTBUS_TLS', way) };
  return new Promise((resolve) => {
    execFile(process.execPath, [hostbus, ...words], { env }, (error, stdout, stderr) =>
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr }),
    );
  });
}

const startHost = (way: Way, wait: boolean) =>
  startDaemon({
    hostId: 'h1',
    brokerUrl: way.url,
    env: {
      ...environment('HOSTBUS_BROKER_TLS', way),
      HOSTBUS_ACCESS_USERS: 'engine=read',
      HOSTBUS_ACCESS_ANONYMOUS: 'none',
    },
    wait,
  });

const at = (userAndHost: string) => `amqps://${userAndHost}:${tlsPort}`;

test('The certificate says who comes in: the daemon as its host, callers as users that [access] knows.', async () => {
  const daemon = await startHost({ url: at('localhost'), ca: caFile, certificate: clients.host }, true);
  try {
    const users = await broker.ctl('list_connections', '--silent', 'user', 'ssl', 'auth_mechanism');
    assert.match(users, /^hostbus-h1\ttrue\tEXTERNAL$/m);
    const certificate = clients.engine;
    await using client = await connect(at('engine@localhost'), {
      tls: {
        ca: readFileSync(caFile),
        cert: readFileSync(certificate.certFile),
        key: readFileSync(certificate.keyFile),
      },
    });
    assert.equal((await client.host('h1').call('ping', {})).hostId, 'h1');
    // Without the user's name in the URL the request bears none, and [access] gives it what is anonymous.
    const [named, nameless, locked] = await Promise.all([
      runHostbus({ url: at('engine@localhost'), ca: caFile, certificate }, 'call', 'h1', 'ping'),
      runHostbus({ url: at('localhost'), ca: caFile, certificate }, 'call', 'h1', 'ping', '--json'),
      runHostbus(
        { url: at('engine@localhost'), ca: caFile, certificate: clients.locked, passphrase },
        'call',
        'h1',
        'ping',
      ),
    ]);
    assert.equal(named.code, 0, named.stderr);
    assert.equal(locked.code, 0, locked.stderr);
    assert.equal(nameless.code, 1, nameless.stderr);
    assert.match(nameless.stdout + nameless.stderr, /NotAllowed/);
    // The name in the URL is only a claim: the broker holds it against the certificate.
    const claimed = await runHostbus(
      { url: at('hostbus-h1@localhost'), ca: caFile, certificate },
      'call',
      'h1',
      'ping',
    );
    assert.equal(claimed.code, 5, claimed.stderr);
  } finally {
    await daemon.stop();
  }
});

describe('refused, in words that help', () => {
  const good = () => ({ ca: caFile, certificate: clients.engine });
  const ways: [what: string, way: () => Way, words: RegExp][] = [
    [
      'an authority that is not the broker’s',
      () => ({ ...good(), url: at('localhost'), ca: otherCaFile }),
      /not of an authority that is trusted here: name the file/,
    ],
    [
      'no authority',
      () => ({ url: at('localhost'), certificate: clients.engine }),
      /not of an authority that is trusted here: name the file/,
    ],
    [
      'a certificate of another authority',
      () => ({ ...good(), url: at('localhost'), certificate: clients.foreign }),
      /refuses the client certificate: it does not know its authority\. Give/,
    ],
    [
      'an expired certificate',
      () => ({ ...good(), url: at('localhost'), certificate: clients.expired }),
      /refuses the client certificate: it has expired\. Give/,
    ],
    [
      'no certificate',
      () => ({ url: at('localhost'), ca: caFile }),
      /asks for a client certificate: name cert and key/,
    ],
    [
      'another name of the broker',
      () => ({ ...good(), url: at('127.0.0.1') }),
      /certificate is not for 127\.0\.0\.1: use one of its names/,
    ],
    [
      'no TLS on its port',
      () => ({ url: `amqp://localhost:${tlsPort}` }),
      /closed the connection.*amqps:\/\//,
    ],
    [
      'TLS on the port without',
      () => ({ ...good(), url: `amqps://localhost:${broker.port}` }),
      /does not speak TLS: use its TLS port/,
    ],
  ];
  for (const [what, way, words] of ways) {
    test(what, () => refused(way(), words));
  }

  test("a broker's certificate that has expired", async () => {
    copyFileSync(oldServer.certFile, server.certFile);
    copyFileSync(oldServer.keyFile, server.keyFile);
    await broker.ctl('eval', 'ssl:clear_pem_cache().');
    await refused({ ...good(), url: at('localhost') }, /broker's certificate has expired: renew it/);
  });

  test('a key that cannot be used: nothing is tried', async () => {
    const locked = {
      url: at('localhost'),
      ca: caFile,
      certificate: clients.locked,
      passphrase: 'another-s3cret',
    };
    const mixed = { certFile: clients.engine.certFile, keyFile: clients.host.keyFile };
    for (const way of [locked, { ...locked, certificate: mixed }]) {
      const daemon = await startHost(way, false);
      assert.equal((await daemon.exited).code, 78);
      assert.match(daemon.stderr(), /broker\.tls: The TLS files cannot be used \(.*\).*passphrase/);
      const { code, stderr } = await runHostbus(way, 'call', 'h1', 'ping');
      assert.equal(code, 5, stderr);
      assert.match(stderr, /TLS files cannot be used/);
      assert.doesNotMatch(stderr + daemon.stderr(), /another-s3cret/);
    }
  });
});

/** The daemon says it in its log and goes on trying; the command line says it and ends. */
async function refused(way: Way, words: RegExp): Promise<void> {
  const [daemon, outcome] = await Promise.all([
    startHost(way, false),
    runHostbus(way, 'call', 'h1', 'ping', '--timeout', '3'),
  ]);
  try {
    assert.equal(outcome.code, 5, outcome.stderr);
    assert.match(outcome.stderr, words);
    const said = () => daemon.log.some(({ err }) => words.test((err as Error | undefined)?.message ?? ''));
    await until(`the daemon says ${String(words)}`, said);
    assert.ok(!daemon.log.some(({ msg }) => msg === 'connected to the broker'));
  } finally {
    await daemon.kill();
  }
}
