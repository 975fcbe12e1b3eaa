/** The version of this software, from its package.json, wherever it was installed or built to. */
import { readFileSync } from 'node:fs';

export const version: string = readVersion();

function readVersion(): string {
  // From src/lib in a checkout, from dist/src/lib when installed.
  for (const up of ['../../package.json', '../../../package.json']) {
    try {
      return (JSON.parse(readFileSync(new URL(up, import.meta.url), 'utf8')) as { version: string }).version;
    } catch {
      // the next place
    }
  }
  throw new Error('package.json of hostbus is missing: the installation is incomplete');
}
