/** What a daemon tells those who watch it: counted for real, read by Prometheus' own programs. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomBytes, randomUUID } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { startDaemon } from '../../lib/daemon.ts';
import { monitoringUrl, type Prometheus, scrape, startPrometheus } from '../../lib/prometheus.ts';
import { until } from '../../lib/until.ts';
import type { Bus } from '../protocol/bus.ts';

const run = promisify(execFile);
const pathOf = (name: string) => fileURLToPath(new URL(`../../../${name}`, import.meta.url));
const alerts = pathOf('packaging/prometheus-alerts.yml');
const mebibyte = 1024 * 1024;

/** @param root - a directory that the daemon may store in */
export function testMetrics(bus: Bus, root: string): void {
  describe('metrics and health', () => {
    let url = '';
    let prometheus: Promise<Prometheus> | undefined;
    before(async () => {
      url = await monitoringUrl(bus.daemon);
      prometheus = startPrometheus(url, alerts);
      prometheus.catch(() => {}); // the test that needs it says so
    });
    after(async () => {
      await prometheus?.then(({ stop }) => stop()).catch(() => {});
    });
    const value = async (series: string) => (await scrape(url)).get(series);

    test('Calls are counted by verb and outcome; whatever names no verb is one series.', async () => {
      const { client } = bus;
      for (const text of ['a', 'b', 'c']) await client.result('h1', 'echo', { text });
      await client.error('h1', 'echo', { text: 5 });
      await client.error('h1', 'work', { ms: 0, fail: 'TypeError' });
      await client.error('h1', 'no_such{verb="x"}');
      await client.exchange('h1', '{');
      await client.exchange('h1', [
        { jsonrpc: '2.0', method: 'subtract', params: [42, 23], id: 'm1' },
        { jsonrpc: '2.0', method: 'nothing', id: 'm2' },
        { jsonrpc: '2.0', method: 'nobody_is_told' },
        5,
      ]);
      const samples = await scrape(url);
      const calls = [...samples].filter(
        ([name, count]) => name.startsWith('hostbus_calls_total') && count > 0,
      );
      assert.deepEqual(Object.fromEntries(calls), {
        'hostbus_calls_total{method="echo",outcome="ok"}': 3,
        'hostbus_calls_total{method="echo",outcome="InvalidParams"}': 1,
        'hostbus_calls_total{method="work",outcome="InternalError"}': 1,
        'hostbus_calls_total{method="subtract",outcome="ok"}': 1,
        'hostbus_calls_total{method="_OTHER",outcome="MethodNotFound"}': 3,
        'hostbus_calls_total{method="_OTHER",outcome="ParseError"}': 1,
        'hostbus_calls_total{method="_OTHER",outcome="InvalidRequest"}': 1,
      });
      assert.equal(samples.get('hostbus_call_duration_seconds_count{method="echo"}'), 4);
      assert.equal(samples.get('hostbus_tasks_ended_total{method="work",state="failed"}'), 1);
    });

    test('A call lasts until its answer, a task until its end.', async () => {
      await bus.client.result('h1', 'work', { ms: 600, answerAfter: 150 }, 'early');
      await until('its end', () => value('hostbus_tasks_ended_total{method="work",state="succeeded"}'));
      const samples = await scrape(url);
      const sumOf = (what: string) => samples.get(`hostbus_${what}_duration_seconds_sum{method="work"}`) ?? 0;
      assert.ok(sumOf('call') > 0.14 && sumOf('call') < 0.6, `the call: ${sumOf('call')} s`);
      assert.ok(sumOf('task') > 0.59, `the task: ${sumOf('task')} s`);
    });

    test('Tasks are told by lane and state, as they are.', async () => {
      const { client } = bus;
      const inLane = async () => {
        const samples = await scrape(url);
        return ['running', 'queued'].map((state) =>
          samples.get(`hostbus_tasks{lane="copy",state="${state}"}`),
        );
      };
      for (const id of ['first', 'second']) client.start('h1', 'laneWork', { ms: 3_600_000 }, id);
      await until('one runs, one waits', async () => (await inLane()).join() === '1,1');
      for (const taskId of ['first', 'second']) await client.result('h1', 'cancelTask', { taskId });
      await until('both have ended', async () => (await inLane()).join() === '0,0');
      assert.equal(await value('hostbus_tasks_ended_total{method="laneWork",state="cancelled"}'), 2);
      assert.equal(await value('hostbus_events_total{kind="task",event="cancelled"}'), 2);
    });

    test('Copies are told in bytes, storage domains by status and space.', async () => {
      const { client } = bus;
      const domainId = randomUUID();
      await client.result('h1', 'createStorageDomain', { domainId, path: root });
      const path = join(root, 'disk.raw');
      writeFileSync(path, randomBytes(8 * mebibyte));
      await client.result('h1', 'importImage', { domainId, imageId: randomUUID(), path }, 'import');
      await until('its end', () =>
        value('hostbus_tasks_ended_total{method="importImage",state="succeeded"}'),
      );
      const samples = await scrape(url);
      assert.equal(samples.get('hostbus_copied_bytes_total'), 8 * mebibyte);
      assert.equal(samples.get('hostbus_copy_remaining_bytes'), 0);
      const statuses = ['up', 'degraded', 'down'].map((status) =>
        samples.get(`hostbus_domain_status{domain="${domainId}",status="${status}"}`),
      );
      assert.deepEqual(statuses, [1, 0, 0]);
      const of = (what: string) => samples.get(`hostbus_domain_${what}{domain="${domainId}"}`) ?? 0;
      assert.ok(of('capacity_bytes') > of('available_bytes') && of('available_bytes') > 0);
      await client.result('h1', 'disconnectStorageDomain', { domainId });
      assert.equal(await value(`hostbus_domain_status{domain="${domainId}",status="up"}`), undefined);
      await client.result('h1', 'connectStorageDomain', { domainId, path: root });
    });

    test('Only GET and HEAD of three pages are served.', async () => {
      const seen = async (path: string, method = 'GET') => {
        const response = await fetch(`${url}${path}`, { method });
        return [response.status, await response.text()] as const;
      };
      assert.deepEqual(await seen('/healthz'), [200, 'ok\n']);
      assert.deepEqual(await seen('/readyz?verbose'), [200, 'ready\n']);
      assert.deepEqual(await seen('/metrics', 'HEAD'), [200, '']);
      for (const path of ['/', '/metrics/', '/constructor', '//x'])
        assert.equal((await seen(path))[0], 404, path);
      for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS'])
        assert.equal((await seen('/metrics', method))[0], 405);
      assert.equal((await fetch(`${url}/readyz`, { method: 'POST' })).headers.get('allow'), 'GET, HEAD');
    });

    test('A daemon that does not hold its host ID is alive, and not ready.', async () => {
      const env = { HOSTBUS_MONITORING_LISTEN: '127.0.0.1:0' };
      const twin = await startDaemon({ hostId: 'h1', brokerUrl: bus.broker.url, env, wait: false });
      try {
        const twinUrl = await monitoringUrl(twin);
        await until('it waits', () => twin.log.some(({ msg }) => msg.startsWith('another connection holds')));
        const ready = await fetch(`${twinUrl}/readyz`);
        assert.equal(ready.status, 503);
        assert.match(await ready.text(), /^not ready: .*host ID/);
        assert.equal((await fetch(`${twinUrl}/healthz`)).status, 200);
        const samples = await scrape(twinUrl);
        assert.deepEqual([samples.get('hostbus_ready'), samples.get('hostbus_broker_connected')], [0, 0]);
      } finally {
        await twin.kill();
      }
    });

    test('An address that is taken: it ends with 69 and says what to do.', async () => {
      const listen = new URL(url).host;
      const env = { HOSTBUS_MONITORING_LISTEN: listen };
      const late = await startDaemon({ hostId: 'late', brokerUrl: bus.broker.url, env, wait: false });
      assert.equal((await late.exited).code, 69);
      assert.match(
        late.stderr(),
        new RegExp(`monitoring\\.listen: cannot listen on ${listen}: .*EADDRINUSE.*free port`),
      );
    });

    test("Prometheus' own check finds nothing wrong with names, types and units.", async () => {
      const text = await (await fetch(`${url}/metrics`)).text();
      const check = run('promtool', ['check', 'metrics']);
      check.child.stdin?.end(text);
      const { stdout, stderr } = await check;
      assert.equal(stdout + stderr, '');
    });

    test('Each alert goes off when it should, and not when all is well.', async () => {
      const { stdout } = await run('promtool', [
        'test',
        'rules',
        pathOf('test/fixtures/prometheus-alerts.test.yml'),
      ]);
      assert.match(stdout, /SUCCESS/);
      const names = [...readFileSync(alerts, 'utf8').matchAll(/alert: (\w+)/g)].map(([, name]) => name);
      const tested = readFileSync(pathOf('test/fixtures/prometheus-alerts.test.yml'), 'utf8');
      assert.deepEqual(
        names.filter((name) => !tested.includes(`alertname="${name}"`)),
        [],
      );
    });

    test('Every query of the dashboard finds something in a Prometheus that scrapes the daemon, and every alert can be worked out.', async () => {
      assert.ok(prometheus);
      const { query, ruleHealth } = await prometheus;
      let empty: readonly string[] = dashboardQueries();
      assert.ok(empty.length > 20, `${empty.length} queries`);
      const eachFindsSomething = async () => {
        await bus.client.error('h1', 'echo', { text: 5 });
        const found = await Promise.all(empty.map(query));
        empty = empty.filter((_, i) => found[i]?.length === 0);
        return empty.length === 0;
      };
      await until('each finds something', eachFindsSomething, 20_000).catch((error: Error) =>
        assert.deepEqual(empty, [], error.message),
      );
      const health = await until('the alerts were worked out', ruleHealth);
      assert.deepEqual([...new Set(Object.values(health))], ['ok']);
    });
  });
}

interface Panel {
  targets?: { expr: string }[];
}

/** As Grafana asks them, with its variables filled in. */
function dashboardQueries(): string[] {
  const text = readFileSync(pathOf('packaging/grafana-dashboard.json'), 'utf8');
  const { panels } = JSON.parse(text) as { panels: Panel[] };
  return panels
    .flatMap(({ targets = [] }) => targets.map(({ expr }) => expr))
    .map((expr) =>
      expr.replaceAll('$__rate_interval', '1m').replaceAll('$job', 'hostbus').replaceAll('$instance', '.*'),
    );
}
