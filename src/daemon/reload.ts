/** SIGHUP: the configuration is read again, and what can change in a running daemon does: the log level. */
import { isDeepStrictEqual } from 'node:util';
import type { Logger } from 'pino';
import type { Config } from '../../schemas/config.ts';
import { ConfigError, valueAt } from './config.ts';
import { configKeys } from './config-keys.ts';

const logLevel = 'log.level';

/**
 * Says in the log what has changed. A wrong configuration changes nothing.
 * @param running - what the daemon was started with
 */
export function reloadConfig(running: Config, load: () => Config, log: Logger): void {
  let next: Config;
  try {
    next = load();
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    log.error(`SIGHUP: nothing is changed. ${error.message}`);
    return;
  }
  const needRestart = configKeys
    .filter(({ path }) => !isDeepStrictEqual(valueAt(running, path), valueAt(next, path)))
    .map(({ path }) => path.join('.'))
    .filter((name) => name !== logLevel);
  if (needRestart.length > 0) {
    log.warn({ keys: needRestart }, 'SIGHUP: changed keys are applied by a restart only');
  }
  setLevel(log, next.log.level);
}

/** The log tells it once, at whichever of the two levels tells more. */
function setLevel(log: Logger, level: Config['log']['level']): void {
  const from = log.level;
  const heard = log.isLevelEnabled('info');
  const tell = () => log.info({ from, to: level }, 'SIGHUP: the log level is set');
  if (heard) tell();
  log.level = level;
  if (!heard) tell();
}
