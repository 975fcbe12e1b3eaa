/** Spans, sent to a collector that takes OTLP over HTTP. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Collector, named } from '../../lib/otlp-collector.ts';
import { until } from '../../lib/until.ts';
import type { Bus } from '../protocol/bus.ts';

/** Numbers of OTLP. */
const [internal, server] = [1, 2];
const failed = 2;
const callerSpan = 'b7ad6b7169203331';
const traceIdOf = (digit: string) => digit.repeat(32);
const withTrace = (digit: string, flags = '01') => ({
  headers: { traceparent: `00-${traceIdOf(digit)}-${callerSpan}-${flags}` },
});

/** The daemon is stopped at the end. */
export function testTraces(bus: Bus, collector: Collector): void {
  describe('traces', () => {
    const spansOf = (digit: string) =>
      collector.spans().filter(({ traceId }) => traceId === traceIdOf(digit));
    const spansOnceThere = (digit: string, count: number) =>
      until(`${count} spans`, () => spansOf(digit).length >= count && spansOf(digit));

    test('A call is a span below its caller, its task one below that; the events carry the trace on.', async () => {
      const { client } = bus;
      const tap = await client.tap('h1.task.#');
      const headers = { ...withTrace('a').headers, 'flow-id': 'flow 7' };
      await client.rpc('h1', 'work', { ms: 20 }, 'job-1', { headers });
      const found = await spansOnceThere('a', 2);
      const call = found.find(({ kind }) => kind === server);
      const task = found.find(({ kind }) => kind === internal);
      assert.ok(call !== undefined && task !== undefined && found.length === 2);
      assert.deepEqual([call.name, call.parentSpanId, call.status.code], ['work', callerSpan, 0]);
      assert.deepEqual(named(call.attributes), {
        'rpc.system.name': 'jsonrpc',
        'rpc.method': 'work',
        'jsonrpc.request.id': 'job-1',
        'messaging.system.name': 'rabbitmq',
        'hostbus.flow.id': 'flow 7',
      });
      assert.deepEqual([task.name, task.parentSpanId], ['task work', call.spanId]);
      assert.deepEqual(named(task.attributes), {
        'hostbus.task.id': 'job-1',
        'hostbus.task.state': 'succeeded',
      });
      assert.deepEqual(
        task.events.map(({ name }) => name),
        ['started'],
      );
      const lastedMs = Number(BigInt(call.endTimeUnixNano) - BigInt(call.startTimeUnixNano)) / 1e6;
      assert.ok(lastedMs >= 19 && lastedMs < 60_000, `${lastedMs} ms`);
      await until('the end', () => tap.namesOf('job-1').includes('succeeded'));
      const events = tap.seen.filter(({ body }) => body.subject === 'job-1');
      assert.deepEqual(
        [...new Set(events.map(({ body }) => body.traceparent))],
        [`00-${traceIdOf('a')}-${call.spanId}-01`],
      );
      const { resource } = collector.batches[0]?.resourceSpans[0] ?? assert.fail('nothing was sent');
      assert.equal(named(resource.attributes)['service.instance.id'], 'h1');
    });

    test('What fails says by which error, at the call and at the task; a verb that is none is a span, too.', async () => {
      const { client } = bus;
      await client.rpc('h1', 'work', { ms: 0, fail: 'NoSpace' }, 'job-2', withTrace('b'));
      await client.rpc('h1', 'nothing', {}, 'job-3', withTrace('b'));
      const domainId = '6f3a1a5e-6f0a-4a7c-9a51-6d3c3b0f2b11';
      await client.rpc('h1', 'disconnectStorageDomain', { domainId }, 'job-7', withTrace('b'));
      const found = await spansOnceThere('b', 5);
      const subjects = found.map(({ attributes }) => named(attributes)['hostbus.domain.id']);
      assert.deepEqual(subjects.filter(Boolean), [domainId]);
      const errors = found.map(({ name, status, attributes }) => {
        const { 'error.type': type, 'rpc.status_code': code } = named(attributes);
        return [name, status.code, type, code];
      });
      assert.deepEqual(errors.sort(), [
        ['disconnectStorageDomain', failed, 'DomainNotFound', '1001'],
        ['jsonrpc', failed, 'MethodNotFound', '-32601'],
        ['task disconnectStorageDomain', failed, 'DomainNotFound', undefined],
        ['task work', failed, 'NoSpace', undefined],
        ['work', failed, 'NoSpace', '1008'],
      ]);
    });

    test('A caller who records no trace causes no span, and its trace context is carried on as it came.', async () => {
      const { client } = bus;
      const tap = await client.tap('h1.task.#');
      const unsampled = withTrace('c', '00');
      await client.rpc('h1', 'work', { ms: 0 }, 'job-4', unsampled);
      await client.rpc('h1', 'work', { ms: 0 }, 'job-5', {
        headers: { traceparent: `00-${traceIdOf('0')}-${callerSpan}-01` }, // no trace has this ID
      });
      await client.rpc('h1', 'work', { ms: 0 }, 'job-6');
      await until('the ends', () => ['job-4', 'job-6'].every((id) => tap.namesOf(id).includes('succeeded')));
      const carried = (id: string) => tap.seen.find(({ body }) => body.subject === id)?.body.traceparent;
      assert.deepEqual([carried('job-4'), carried('job-6')], [unsampled.headers.traceparent, undefined]);
      await client.rpc('h1', 'ping', {}, 'after', withTrace('d'));
      assert.equal((await spansOnceThere('d', 1)).length, 1);
      assert.deepEqual([...spansOf('c'), ...spansOf('0')], []);
      const ids = collector.spans().map(({ attributes }) => named(attributes)['jsonrpc.request.id']);
      assert.ok(!ids.includes('job-6') && ids.includes('after'), String(ids));
    });

    test('A collector that refuses, or hangs, is said once and costs spans, never work.', async () => {
      const { client, daemon } = bus;
      const lines = (text: string) => daemon.log.filter(({ msg }) => msg === text).length;
      const call = (digit: string) =>
        client.rpc('h1', 'ping', {}, `ping-${digit}-${collector.asked}`, withTrace(digit));
      collector.mode = 'refuses';
      for (let tries = 0; tries < 2; tries += 1) {
        const before = collector.asked;
        await call('e');
        await until('it was asked', () => collector.asked > before);
      }
      await until('it is said', () => lines('spans could not be sent, and are lost') > 0);
      collector.mode = 'takes';
      await call('f');
      await spansOnceThere('f', 1);
      await until('it is said', () => lines('spans can be sent again') === 1);
      assert.equal(lines('spans could not be sent, and are lost'), 1);
      collector.mode = 'hangs';
      const before = collector.asked;
      await call('1');
      await until('it was asked', () => collector.asked > before);
      assert.equal((await call('2')).error, undefined);
      const stoppingMs = performance.now();
      assert.equal(await daemon.stop(), 0);
      assert.ok(performance.now() - stoppingMs < 5000, 'it stops within 5 s');
    });
  });
}
