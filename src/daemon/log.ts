/** The log: JSON lines, written at once, so that a SIGKILL loses none; for people on a terminal. */
import { createRequire } from 'node:module';
import { type Logger, pino, stdTimeFunctions } from 'pino';
import type { Config } from '../../schemas/config.ts';
import { LogOutput } from './log-output.ts';

export function createLog(config: Config['log'], hostId: string, bootId: string): Logger {
  const options = {
    level: config.level,
    base: { hostId, bootId },
    timestamp: stdTimeFunctions.isoTime,
    // Whatever is logged by these names, and URLs' passwords in any text, stay out.
    redact: { paths: ['password', 'passphrase', '*.password', '*.passphrase'], censor: '***' },
  };
  const out = new LogOutput((lines) => {
    log.warn({ lines }, 'lines of this log were lost: it could not be written');
  });
  const log = pino(options, maskingStream(out, formatterOf(config)));
  return log;
}

/** Undefined: lines are written as they are, in JSON. */
function formatterOf(config: Config['log']): ((line: string) => string) | undefined {
  if (config.format === 'json' || (config.format === 'auto' && !process.stdout.isTTY)) {
    return undefined;
  }
  // Only people need it; a daemon in service does not carry it in memory.
  const { prettyFactory } = createRequire(import.meta.url)('pino-pretty') as typeof import('pino-pretty');
  const pretty = prettyFactory({ colorize: process.stdout.isTTY, ignore: 'hostId,bootId' });
  return (line) => String(pretty(line));
}

function maskingStream(out: LogOutput, format = (line: string) => line): { write(line: string): void } {
  const mask = (line: string) => line.replaceAll(/(amqps?:\/\/[^:/\s"]*):[^\s"]*@/g, '$1:***@');
  return { write: (line) => out.write(format(mask(line))) };
}
