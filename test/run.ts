/**
 * Runs the tests: `node test/run.ts [PATH …]`; a path is a file or a folder below test/. Without one: all.
 *
 * Prints Node's own report, and ends with its counts; any failure, and a run without a test, ends with a code other than 0.
 */
import { globSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';

/** One more than a small machine has processors: many tests wait for Gluster or for a broker. */
const concurrency = 3;

const places = process.argv.slice(2);
const files = (places.length > 0 ? places : ['test']).flatMap((place) =>
  statSync(place).isDirectory() ? globSync(`${place}/**/*.test.ts`) : [place],
);
if (files.length === 0) {
  process.stderr.write('There is no test in these places\n');
  process.exit(1);
}
// Hundreds of processes run the same sources: each is compiled once. No test may depend on what an earlier run has left.
const compiled = mkdtempSync(join(tmpdir(), 'hostbus-test-compiled-'));
process.env.NODE_COMPILE_CACHE = compiled;
process.on('exit', () => rmSync(compiled, { recursive: true, force: true }));

const stopped = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => stopped.abort());
// Faults that are tried many times take as long as that takes.
const timeout = process.env.HOSTBUS_TEST_FAULTS === 'all' ? 3_600_000 : 240_000;
const results = run({ files: inGoodOrder(files), concurrency, timeout, signal: stopped.signal });
results.on('test:fail', () => {
  process.exitCode = 1;
});
results.compose(spec).pipe(process.stdout);

/** Labs are the longest, and mostly wait: each beside files that compute, and none when the others are done. */
function inGoodOrder(unordered: readonly string[]): string[] {
  const sorted = unordered.toSorted();
  const labs = sorted.filter(usesLab);
  const others = sorted.filter((file) => !usesLab(file));
  const mixed = others.flatMap((file, at) => (at % 4 === 0 ? [...labs.splice(0, 1), file] : [file]));
  return [...mixed, ...labs];
}

function usesLab(file: string): boolean {
  return /^test\/(gluster|lab)\//.test(file);
}
