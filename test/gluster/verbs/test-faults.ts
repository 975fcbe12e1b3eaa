/** The faults of a table of verbs, on hosts of their own: of all with HOSTBUS_TEST_FAULTS=all (`npm run test:faults`), else of a sample. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { labRefusal } from '../../lab/lab.ts';
import { whileHung } from '../../lib/gluster-faults.ts';
import { refusedAs } from '../../lib/gluster-hosts.ts';
import { FaultLab, type Moment } from './fault-lab.ts';
import {
  answers,
  atPeers,
  type ChangeRow,
  call,
  type Ends,
  endsInTime,
  isChange,
  isDone,
  nothingRuns,
  survivesDeath,
  survivesHanging,
  titleOf,
} from './faults.ts';
import type { Change, Row } from './row.ts';

export interface FaultTable {
  readonly hosts: number;
  readonly geoReplication?: boolean;
  /** Rows by family. */
  readonly families: Readonly<Record<string, readonly Row[]>>;
  /** Makes what the verbs need that only look. */
  prepare(lab: FaultLab): Promise<void>;
  /** Of what changes something only those rows that are a sample. @default false: all, and nothing unless all are wanted */
  readonly sample?: boolean;
}

const all = process.env.HOSTBUS_TEST_FAULTS === 'all';

const isAfter = (moment: Moment) => 'when' in moment && moment.when === 'after';

export function testFaults({
  hosts,
  geoReplication = false,
  families,
  prepare,
  sample = false,
}: FaultTable): void {
  const rows = Object.values(families).flat();
  const skip = labRefusal() ?? (sample || all ? false : 'npm run test:faults tests all verbs');
  let lab: FaultLab;

  describe(`faults under ${Object.keys(families).join(', ')}`, { skip }, () => {
    before(async () => {
      lab = await FaultLab.start(hosts, geoReplication);
      await lab.makePool();
      await prepare(lab);
    });
    after(() => lab?.[Symbol.asyncDispose]());

    for (const row of rows.filter(isChange)) {
      if (isTested(row.change)) testChange(row);
    }

    test('glusterd hangs: what only looks ends in time, and its process is gone', async () => {
      const looks = rows.filter((row) => !isChange(row));
      await whileHung(lab.h1, () => Promise.all(looks.map((row) => endsInTime(lab, row))));
      nothingRuns(lab);
      await Promise.all(looks.map((row) => answers(lab, row)));
    });

    test('A program is missing: every verb that needs it says what to install', async () => {
      const poor = await lab.h1.startDaemon({ hostId: 'poor', env: { PATH: '/usr/bin' } });
      await each(rows, async (row) => {
        const { verb, asks = true, refused, missing = asks ? 'GlusterUnavailable' : undefined } = row;
        if (refused === undefined && missing === undefined) return;
        const error = await refusedAs((refused ?? missing) as 'GlusterUnavailable', call(lab, row, 'poor'));
        if (refused === undefined) assert.match(error.message, /install/, verb);
      });
      await poor.stop();
    });

    test('glusterd is dead: every verb that needs it says how to get it back', async () => {
      await lab.h1.killGlusterd();
      const asking = rows.filter(
        ({ asks = true, refused, change }) => asks && refused === undefined && isTested(change),
      );
      await each(asking, async (row) => {
        const error = await refusedAs('GlusterUnavailable', call(lab, row));
        assert.match(error.message, /start it/, row.verb);
      });
      await lab.h1.startGlusterd();
      await Promise.all(rows.filter((row) => !isChange(row)).map((row) => answers(lab, row)));
    });
  });

  /** What only looks, and of what changes something the sample, or all. */
  function isTested(change: Change | undefined): boolean {
    return change === undefined || !sample || change.sample === true;
  }

  /** All at once, but for those that have something to prepare. */
  async function each(some: readonly Row[], work: (row: Row) => Promise<void>): Promise<void> {
    await Promise.all(some.filter(({ change }) => change?.prepareHost === undefined).map(work));
    for (const row of some) {
      if (row.change?.prepareHost === undefined) continue;
      await row.change.prepareHost(lab);
      await work(row);
    }
  }

  function testChange(row: ChangeRow): void {
    const { verb, asks = true, change } = row;
    let ends: Ends;
    test(`${verb} is done`, async () => {
      ends = await isDone(lab, row);
    });
    const moments = change.moments.filter(
      (moment) => !sample || 'systemCall' in moment || moment === change.moments.findLast(isAfter),
    );
    for (const moment of moments) {
      test(titleOf(verb, moment), () => survivesDeath(lab, row, moment, ends));
    }
    if (!asks) return;
    test(titleOf(verb, atPeers), () => survivesDeath(lab, row, atPeers, ends));
    test(`${verb}: glusterd hangs, and goes on`, async () => {
      await survivesHanging(lab, row, ends);
      nothingRuns(lab);
    });
  }
}
