/** SIGHUP: the log level changes while the daemon runs. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { startDaemon } from '../../lib/daemon.ts';
import { until } from '../../lib/until.ts';

test('SIGHUP applies the log level, names what needs a restart, and changes nothing where the file is wrong.', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'hostbus-log-level-'));
  const file = join(dir, 'hostbusd.toml');
  const write = (level: string, tasksMax: number) =>
    writeFileSync(file, `[tasks]\nmax = ${tasksMax}\n[log]\nlevel = "${level}"\n`);
  write('warn', 10);
  // Nobody listens there: what the daemon says on its own will do.
  const options = { hostId: 'h1', brokerUrl: 'amqp://127.0.0.1:1', args: ['--config', file], wait: false };
  const daemon = await startDaemon(options);
  const said = (text: string) => daemon.log.filter(({ msg }) => msg.startsWith(text));
  const hangUp = async (text: string) => {
    const before = said(text).length;
    daemon.process.kill('SIGHUP');
    await until(text, () => said(text).length > before);
    return said(text).at(-1) ?? assert.fail();
  };
  try {
    await until('it runs', () => said('no session with the broker').length > 0);
    assert.equal(said('hostbusd starts').length, 0);

    write('info', 20);
    const { from, to } = await hangUp('SIGHUP: the log level is set');
    assert.deepEqual([from, to], ['warn', 'info']);
    assert.deepEqual(said('SIGHUP: changed keys')[0]?.keys, ['tasks.max']);

    write('loud', 10);
    const refused = await hangUp('SIGHUP: nothing is changed');
    assert.match(refused.msg, /log\.level: .*one of trace, debug, info/);

    write('debug', 10);
    assert.equal(
      (await hangUp('SIGHUP: the log level is set')).from,
      'info',
      'the wrong file changed nothing',
    );
    assert.equal(said('SIGHUP: changed keys').length, 1, 'what is as it was at the start needs no restart');

    assert.equal(await daemon.stop(), 0);
    assert.equal(said('hostbusd stops').length, 1);
  } finally {
    await daemon.kill();
    rmSync(dir, { recursive: true });
  }
});
