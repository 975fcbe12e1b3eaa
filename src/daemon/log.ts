/** The log: JSON lines, written at once, so that a SIGKILL loses none; for people on a terminal. */
import { createRequire } from 'node:module';
import { destination, type Logger, pino, stdTimeFunctions } from 'pino';
import type { Config } from '../../schemas/config.ts';

export function createLog(config: Config['log'], hostId: string, bootId: string): Logger {
  const options = {
    level: config.level,
    base: { hostId, bootId },
    timestamp: stdTimeFunctions.isoTime,
    // Whatever is logged by these names, and URLs' passwords in any text, stay out.
    redact: { paths: ['password', 'passphrase', '*.password', '*.passphrase'], censor: '***' },
  };
  const out = destination({ fd: 1, sync: true });
  // A reader that goes away (a closed pipe) must not take the daemon with it.
  out.on('error', () => {});
  if (config.format === 'json' || (config.format === 'auto' && !process.stdout.isTTY)) {
    return pino(
      options,
      maskingStream((line) => void out.write(line)),
    );
  }
  // Only people need it; a daemon in service does not carry it in memory.
  const { prettyFactory } = createRequire(import.meta.url)('pino-pretty') as typeof import('pino-pretty');
  const pretty = prettyFactory({ colorize: process.stdout.isTTY, ignore: 'hostId,bootId' });
  return pino(
    options,
    maskingStream((line) => void out.write(pretty(line))),
  );
}

function maskingStream(write: (line: string) => void): { write(line: string): void } {
  return { write: (line) => write(line.replaceAll(/(amqps?:\/\/[^:/\s"]*):[^\s"]*@/g, '$1:***@')) };
}
