/**
 * A client in a process of its own, which can be killed or cut off: `calling-process.ts URL HOSTS NOTES CALLERS HEARTBEAT`.
 * Calls until standard input ends; tells of each call on standard output, in a line of JSON, before and after it.
 */
import { once } from 'node:events';
import { connect } from '../../src/client/client.ts';
import { startLoad } from './load.ts';
import type { CallLog, Outcome } from './recorder.ts';

export type CallerLine = { readonly taskId: string; readonly outcome?: Outcome };

const [url = '', hostIds = '', notes = '', callers = '', heartbeat = ''] = process.argv.slice(2);
const say = (line: CallerLine) => process.stdout.write(`${JSON.stringify(line)}\n`);
const log: CallLog = {
  began: (taskId) => void say({ taskId }),
  ended: (taskId, outcome) => void say({ taskId, outcome }),
};
const client = await connect(url, { heartbeat: Number(heartbeat) });
const load = startLoad({ log, client, notes }, hostIds.split(','), Number(callers));
await once(process.stdin.resume(), 'end');
await load.stop();
await client.close();
