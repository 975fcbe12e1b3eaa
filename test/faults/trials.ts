/** Tries each fault a number of times, and keeps what came of it for the table of docs/reliability.md. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, type TestContext } from 'node:test';
import type { Tally } from './recorder.ts';
import type { World } from './world.ts';

/** `npm run test:faults` tries each fault many times; `npm test` once or twice. */
const all = process.env.HOSTBUS_TEST_FAULTS === 'all';
/** Where results wait for table.ts; only of whole runs. */
export const resultsDir = join(tmpdir(), 'hostbus-faults-results');

export interface FaultResult {
  readonly fault: string;
  readonly tally: Tally;
  /** Calls that were under way when the fault was over. */
  readonly underWay: number;
  /** Of each try. */
  readonly recoveryMs: readonly number[];
}

export interface Times {
  readonly short: number;
  readonly all: number;
}

function triesOf(times: Times): number {
  return all ? times.all : times.short;
}

/** Why a fault is not tried in the short form; false when it is. */
export function onlyInAll(times: Times): string | false {
  return triesOf(times) === 0 && 'only in npm run test:faults';
}

/** The results of one file of faults; written when its tests have ended. */
export function results(group: string): (result: FaultResult) => void {
  const found: FaultResult[] = [];
  after(() => {
    if (!all) return;
    mkdirSync(resultsDir, { recursive: true });
    writeFileSync(join(resultsDir, `${group}.json`), JSON.stringify(found));
  });
  return (result) => void found.push(result);
}

/**
 * Injects a fault again and again while callers go on, and checks the record after each try.
 * @param inject - resolves when the fault is over: from then on the time to recover is measured
 * @param checkMore - what else must hold after each try
 */
export async function tryFault(
  t: TestContext,
  fault: string,
  times: Times,
  world: World,
  inject: () => Promise<void>,
  checkMore: () => Promise<void> = async () => {},
): Promise<FaultResult> {
  const tries = triesOf(times);
  const before = world.recorder.tally();
  const recoveryMs: number[] = [];
  let underWay = 0;
  for (let n = 0; n < tries; n += 1) {
    const load = world.startLoad();
    try {
      await load.hasOutcomes(20);
      await inject();
      const overAtMs = performance.now();
      underWay += world.recorder.open().length;
      await world.serves();
      recoveryMs.push(Math.round(performance.now() - overAtMs));
    } finally {
      await load.stop();
    }
    await world.check();
    await checkMore();
  }
  const tally = difference(world.recorder.tally(), before);
  const result = { fault, tally, underWay, recoveryMs };
  t.diagnostic(JSON.stringify(result));
  return result;
}

function difference(now: Tally, before: Tally): Tally {
  const entries = Object.entries(now).map(([key, count]) => [key, count - before[key as keyof Tally]]);
  return Object.fromEntries(entries) as Tally;
}
