/** `hostbus doctor`: what was found, a line each, and below it what to do. */
import type { Finding, Status } from '../doctor/finding.ts';
import type { Context } from './context.ts';
import { HostDefective } from './errors.ts';
import { exitCodes } from './exit-codes.ts';
import type { Invocation } from './invocation.ts';
import type { Paint } from './io.ts';
import { pad, printable } from './text.ts';

const colours: Readonly<Record<Status, Paint>> = {
  ok: 'green',
  warning: 'yellow',
  failed: 'red',
  skipped: 'dim',
};
const statusWidth = 9;
const checkWidth = 15;

export async function doctor(context: Context, given: Invocation): Promise<void> {
  const { examine } = await import('../doctor/doctor.ts');
  const { env } = context.io;
  const callerGiven = given.list('url').length > 0 || Boolean(env.HOSTBUS_URL);
  const found: Finding[] = [];
  let hangs = false;
  const findings = examine({
    configFile: given.text('config'),
    env,
    user: given.text('user'),
    withCaller: callerGiven ? (work) => context.withClient(work) : undefined,
    hangs: () => {
      hangs = true;
    },
  });
  for await (const finding of findings) {
    if (context.signal.aborted) throw context.signal.reason;
    found.push(finding);
    if (!context.options.json) print(context, finding);
  }
  const failedCount = found.filter(({ status }) => status === 'failed').length;
  if (context.options.json) context.json({ status: failedCount > 0 ? 'failed' : 'ok', findings: found });
  if (hangs) await leave(context, failedCount);
  if (failedCount > 0) throw new HostDefective(failedCount);
}

function print(context: Context, { check, status, message, remedy = [] }: Finding): void {
  if (context.options.quiet && status === 'ok') return;
  const title = context.paint(colours[status], pad(status, statusWidth));
  context.line(`${title}${pad(check, checkWidth)}${printable(message)}`);
  const indent = ' '.repeat(statusWidth + checkWidth);
  for (const line of remedy) context.line(`${indent}→ ${printable(line)}`);
}

/** Node would wait for the thread that hangs, for ever. */
async function leave(context: Context, failedCount: number): Promise<never> {
  const { exitAtOnce } = await import('../lib/libc.ts');
  const written = Promise.withResolvers<void>();
  context.io.stdout.write('', () => written.resolve());
  await written.promise;
  return exitAtOnce(failedCount > 0 ? exitCodes.defective.code : exitCodes.ok.code);
}
