/** Renews the tables of docs/reliability.md from the results of the last whole run (`npm run test:faults`): `table.ts`. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type FaultResult, resultsDir } from './trials.ts';

const page = fileURLToPath(new URL('../../docs/reliability.md', import.meta.url));
const head = `| fault | tried | calls | answered | found out | refused | never came | died with the daemon | events | missed | lost | back after, median and longest |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- | ---: |`;

function seconds(ms: number): string {
  return ms < 1000 ? `${ms} ms` : `${(ms / 1000).toFixed(1)} s`;
}

/** `lost` is no count: a try in which anything was lost fails, and there are no results then. */
function row({ fault, tally, recoveryMs }: FaultResult): string {
  const sorted = recoveryMs.toSorted((a, b) => a - b);
  const median = sorted[Math.floor(sorted.length / 2)] ?? 0;
  const { calls, answered, found, refused, neverCame, diedWithDaemon, events, missed } = tally;
  const counts = [calls, answered, found, refused, neverCame, diedWithDaemon, events, missed];
  const back = `${seconds(median)}, ${seconds(sorted.at(-1) ?? 0)}`;
  return `| ${[fault, recoveryMs.length, ...counts, 'nothing', back].join(' | ')} |`;
}

const text = readFileSync(page, 'utf8').replaceAll(
  /(<!-- faults: ([\w-]+) -->\n).*?(<!-- \/faults -->)/gs,
  (whole: string, begin: string, group: string, end: string) => {
    const file = join(resultsDir, `${group}.json`);
    if (!existsSync(file)) {
      process.stdout.write(`${group}: no results, its table stays as it is\n`);
      return whole;
    }
    const results = JSON.parse(readFileSync(file, 'utf8')) as FaultResult[];
    process.stdout.write(`${group}: ${results.length} faults\n`);
    return `${begin}${[head, ...results.map(row)].join('\n')}\n${end}`;
  },
);
writeFileSync(page, text);
