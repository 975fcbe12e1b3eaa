/** The program hostbusd: arguments, configuration, signals, exit codes. */
import { flushCompileCache } from 'node:module';
import { parseArgs } from 'node:util';
import type { Config } from '../../schemas/config.ts';
import { TlsFailure } from '../bus/tls.ts';
import { HostIdTaken } from '../bus/topology.ts';
import { exitAtOnce } from '../lib/libc.ts';
import { version } from '../lib/version.ts';
import { ListenRefused, loadMonitoring, type MakeMonitoring } from '../monitoring/monitoring.ts';
import { ConfigError, fileVariable, loadConfig, printConfig } from './config.ts';
import { Daemon } from './daemon.ts';
import { reloadConfig } from './reload.ts';
import { watchService } from './service.ts';

/** From sysexits.h, as service managers know them. */
export const exitCodes = { ok: 0, usage: 64, unavailable: 69, software: 70, config: 78 } as const;

/** What `--help` says. */
export const help = `hostbusd ${version}: serves this host's storage over the message bus

Usage: hostbusd [--config FILE] [--print-config]

  --config FILE    TOML file (or set ${fileVariable}); every key can also be set by an environment variable
  --print-config   print the effective configuration, secrets masked, and exit
  --version        print the version and exit
  --help           print this and exit

Smallest start, with a broker on this machine:
  HOSTBUS_HOST_ID=h1 hostbusd

Signals: SIGTERM and SIGINT stop it; SIGHUP makes it read the configuration again and apply log.level.

Exit codes: 0 stopped by SIGTERM or SIGINT; 64 wrong arguments; 69 another daemon serves this host ID, or the
address of monitoring.listen is taken; 70 a defect of the daemon; 78 the configuration is wrong. Anything else is a crash: start it again, nothing needs repair.
`;

export async function main(args: readonly string[]): Promise<void> {
  const options = readArguments(args);
  if (options.help) return void process.stdout.write(help);
  if (options.version) return void process.stdout.write(`${version}\n`);
  const load = () => loadConfig(options.config ?? process.env[fileVariable], process.env);
  let daemon: Daemon;
  try {
    const config = load();
    if (options['print-config']) return void process.stdout.write(printConfig(config));
    daemon = makeDaemon(config, await loadMonitoring(config));
  } catch (error) {
    if (error instanceof ConfigError) exit(exitCodes.config, error.message);
    throw error;
  }
  await live(daemon, load);
}

/**
 * Runs a daemon until it is told to stop, and ends the process.
 * @param load - reads the configuration again, on SIGHUP
 */
export async function live(daemon: Daemon, load: () => Config): Promise<never> {
  const { log } = daemon;
  const defect = (error: unknown) => {
    log.fatal({ err: error }, 'a defect: the daemon ends, to be started afresh');
    end(exitCodes.software);
  };
  process.on('uncaughtException', defect);
  process.on('unhandledRejection', defect);
  let stopping = false;
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      if (stopping) return;
      stopping = true;
      void daemon.stop(signal);
    });
  }
  process.on('SIGHUP', () => reloadConfig(daemon.config, load, log));
  watchService(log);
  try {
    await daemon.run();
    end(exitCodes.ok);
  } catch (error) {
    if (!(error instanceof HostIdTaken || error instanceof ListenRefused)) throw error;
    log.fatal(error.message);
    exit(exitCodes.unavailable, error.message);
  }
}

function makeDaemon(config: Config, makeMonitoring: MakeMonitoring | undefined): Daemon {
  try {
    return new Daemon(config, { makeMonitoring });
  } catch (error) {
    if (error instanceof TlsFailure) throw new ConfigError([`broker.tls: ${error.message}`]);
    const { code, path } = error as NodeJS.ErrnoException;
    if (code !== undefined && path !== undefined) throw new ConfigError([`${path}: cannot be read: ${code}`]);
    throw error;
  }
}

function readArguments(args: readonly string[]) {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        config: { type: 'string' },
        'print-config': { type: 'boolean', default: false },
        version: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    });
    return values;
  } catch (error) {
    return exit(exitCodes.usage, `${(error as Error).message} (hostbusd --help shows what there is)`);
  }
}

function exit(code: number, message: string): never {
  process.stderr.write(`hostbusd: ${message}\n`);
  end(code);
}

// Log and standard error are written already; what remains for the next start is the compiled code.
function end(code: number): never {
  flushCompileCache();
  exitAtOnce(code);
}
