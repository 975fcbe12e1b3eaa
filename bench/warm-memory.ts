import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const run = promisify(execFile);

/**
 * In a virtual machine, memory that has been free for a while may have gone back to the host; whoever gets it first pays for its
 * return, with as much CPU time as the copy itself. So it is touched before each measurement.
 */
export async function warmMemory(): Promise<void> {
  await run(process.execPath, [
    '-e',
    'const b = []; for (let i = 0; i < 5; i++) b.push(Buffer.alloc(2 ** 30, 1))',
  ]);
}
