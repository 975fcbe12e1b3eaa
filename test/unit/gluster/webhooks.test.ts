/** What gluster-eventsapi of glusterfs 10.3 answered. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ErrorName, HostbusError } from '../../../schemas/errors.ts';
import { parseWebhooks, readAnswer } from '../../../src/gluster/webhooks.ts';

const reply = (exitCode: number, stdout: string) => ({
  command: ['gluster-eventsapi', 'sync', '--json'],
  exitCode,
  stdout,
  stderr: '',
});
const isError = (name: ErrorName, words: RegExp) => (error: unknown) =>
  error instanceof HostbusError && error.name === name && words.test(error.message);

test('The hosts, and which of them have it', () => {
  const output = `{"output": [{"node": "h2", "node_status": "DOWN", "sync_status": "NOT OK", "error": "N/A"}, {"node": "localhost", "node_status": "UP", "sync_status": "OK", "error": ""}], "error": ""}\n`;
  assert.deepEqual(readAnswer(reply(4, output)), {
    nodes: [
      { host: 'h2', connected: false, synced: false },
      { host: 'localhost', connected: true, synced: true },
    ],
  });
});

test('Refusals, by exit code', () => {
  const exists = '{"output": "", "error": "Webhook already exists"}\n';
  assert.throws(() => readAnswer(reply(5, exists)), isError('WebhookExists', /already/));
  const missing = '{"output": "", "error": "Webhook does not exists"}\n';
  assert.throws(() => readAnswer(reply(6, missing)), isError('WebhookNotFound', /listWebhooks/));
  const notCopied =
    '{"output": "", "error": "Failed to sync Webhooks file: [Error: 1]Commit failed on h2. Error: Unable to open /var/lib/glusterd//events/webhooks.json\\n"}\n';
  assert.throws(
    () => readAnswer(reply(8, notCopied)),
    isError('GlusterError', /syncWebhooks.*Commit failed on h2/s),
  );
  const busy =
    '{"output": "", "error": "Failed to sync Webhooks file: [Error: 1]Another transaction is in progress. Please try again after some time.\\n"}\n';
  assert.throws(() => readAnswer(reply(8, busy)), isError('GlusterBusy', /syncWebhooks/));
  assert.throws(() => readAnswer(reply(0, 'None\n')), isError('GlusterError', /not understood.*None/));
});

test('The file of the webhooks, in both of its forms; nothing secret is told', () => {
  const stored = `{"http://a": {"token": "t", "secret": ""}, "http://b": "t", "http://c": {"token": "", "secret": "s"}}`;
  assert.deepEqual(parseWebhooks(stored), [
    { url: 'http://a', hasToken: true, hasSecret: false },
    { url: 'http://b', hasToken: true, hasSecret: false },
    { url: 'http://c', hasToken: false, hasSecret: true },
  ]);
  assert.deepEqual(parseWebhooks(''), []);
  for (const damaged of ['{', '[]', '{"http://a": 1}']) {
    assert.throws(() => parseWebhooks(damaged), isError('GlusterError', /damaged/));
  }
});
