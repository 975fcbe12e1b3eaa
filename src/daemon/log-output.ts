/**
 * Standard output as the log's destination. A line is written at once; what cannot be written (a full disk, a reader that has gone) is
 * kept up to a bound and tried again with each further line, and never holds up or ends the daemon.
 */
import { writeSync } from 'node:fs';

const stdout = 1;
/** A disk may be full for days. */
const maxKeptBytes = 256 * 1024;

export class LogOutput {
  #kept: Buffer = Buffer.alloc(0);
  #lost = 0;
  readonly #tellLost: (lines: number) => void;

  /** @param tellLost - called when the log can be written again, with the number of lines that are not in it */
  constructor(tellLost: (lines: number) => void) {
    this.#tellLost = tellLost;
  }

  write(line: string): void {
    const bytes = Buffer.from(line);
    if (this.#kept.length === 0) this.#kept = bytes;
    else if (this.#kept.length + bytes.length <= maxKeptBytes)
      this.#kept = Buffer.concat([this.#kept, bytes]);
    else this.#lost += 1;
    try {
      while (this.#kept.length > 0) this.#kept = this.#kept.subarray(writeSync(stdout, this.#kept));
    } catch {
      return;
    }
    if (this.#lost === 0) return;
    const lines = this.#lost;
    this.#lost = 0;
    this.#tellLost(lines);
  }
}
