/**
 * Runs the tests: `node test/run.ts [PATH …]`; a path is a file or a folder below test/. Without one: all.
 *
 * Prints Node's own report, and ends with its counts; any failure, and a run without a test, ends with a code other than 0.
 */
import { spawn } from 'node:child_process';
import { globSync, statSync } from 'node:fs';

const places = process.argv.slice(2);
const files = (places.length > 0 ? places : ['test']).flatMap((place) =>
  statSync(place).isDirectory() ? globSync(`${place}/**/*.test.ts`) : [place],
);
if (files.length === 0) {
  process.stderr.write('There is no test in these places\n');
  process.exit(1);
}
// Faults that are tried many times take as long as that takes (test/faults).
const timeoutMs = process.env.HOSTBUS_TEST_FAULTS === 'all' ? 3_600_000 : 240_000;
const runner = spawn(
  process.execPath,
  ['--test', '--test-concurrency=2', `--test-timeout=${timeoutMs}`, '--test-reporter=spec', ...files.sort()],
  { stdio: 'inherit' },
);
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => runner.kill(signal));
runner.on('exit', (code) => process.exit(code ?? 1));
