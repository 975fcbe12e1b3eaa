/** A daemon under observation: one for all of it. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe } from 'node:test';
import { startCollector } from '../../lib/otlp-collector.ts';
import { useBus } from '../protocol/bus.ts';
import { testMetrics } from './metrics.ts';
import { testTraces } from './traces.ts';

describe('monitoring', async () => {
  const root = mkdtempSync(join(tmpdir(), 'hostbus-monitoring-'));
  const collector = await startCollector();
  const bus = useBus({
    HOSTBUS_MONITORING_LISTEN: '0',
    HOSTBUS_TRACES_ENDPOINT: collector.url,
    HOSTBUS_STORAGE_ROOTS: root,
    HOSTBUS_TASKS_LANES_COPY: '1',
  });
  after(() => {
    collector.stop();
    rmSync(root, { recursive: true });
  });
  testMetrics(bus, root);
  testTraces(bus, collector);
});
