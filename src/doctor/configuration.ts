/** The configuration as hostbusd would load it: the file, and the environment that its unit gives it. */
import { existsSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parseEnv } from 'node:util';
import type { Config } from '../../schemas/config.ts';
import { ConfigError, fileVariable, loadConfig } from '../daemon/config.ts';
import { errnoCode } from '../lib/atomic-file.ts';
import { type Finding, findingsOf } from './finding.ts';

const { ok, warning, failed } = findingsOf('configuration');

/** Where the unit has it. */
const defaultFile = '/etc/hostbus/hostbusd.toml';

type Environment = Readonly<Record<string, string | undefined>>;

export interface Configuration {
  /** Undefined when hostbusd would refuse it. */
  readonly config: Config | undefined;
  readonly findings: readonly Finding[];
}

/**
 * @param given - the file; undefined: what HOSTBUS_CONFIG names, else the unit's where it is there, else the environment alone
 */
export function examineConfiguration(given: string | undefined, env: Environment): Configuration {
  const file = given ?? env[fileVariable] ?? (existsSync(defaultFile) ? defaultFile : undefined);
  const secrets = file === undefined ? undefined : join(dirname(file), 'hostbusd.env');
  const findings: Finding[] = [];
  const fromUnit = secrets === undefined ? {} : readEnvironment(secrets, findings);
  const source = file ?? 'the environment';
  try {
    const config = loadConfig(file, { ...fromUnit, ...env });
    findings.unshift(ok(`${source}: host ID ${config.host_id}`));
    for (const path of [file, secrets, config.broker.tls.key]) findings.push(...examineMode(path));
    return { config, findings };
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    const [, ...problems] = error.message.split('\n');
    const remedy =
      file === undefined
        ? 'Name the file: hostbus doctor --config FILE'
        : `Mend it; hostbusd --config ${file} --print-config shows what is in force`;
    findings.unshift(failed(`${source}: ${problems.map((line) => line.trim()).join('; ')}`, remedy));
    return { config: undefined, findings };
  }
}

/** What the unit's EnvironmentFile, beside the configuration, sets. */
function readEnvironment(path: string, findings: Finding[]): Environment {
  try {
    return parseEnv(readFileSync(path, 'utf8'));
  } catch (error) {
    if (errnoCode(error) !== 'ENOENT')
      findings.push(warning(`${path}: cannot be read (${errnoCode(error)})`, 'Run the doctor as root'));
    return {};
  }
}

const secret =
  /amqps?:\/\/[^\s:@/"']*:[^\s"']+@|PRIVATE KEY|^\s*(?:passphrase|HOSTBUS_BROKER_TLS_PASSPHRASE)\s*=/m;

/** A file that holds a secret, and that everybody can read. */
function examineMode(path: string | undefined): Finding[] {
  if (path === undefined) return [];
  try {
    const { mode } = statSync(path);
    if ((mode & 0o007) === 0 || !secret.test(readFileSync(path, 'utf8'))) return [];
  } catch {
    return []; // whoever needs it says so
  }
  return [
    warning(
      `${path}: holds a secret, and every user can read it`,
      `chown root:hostbus ${path} && chmod 0640 ${path}   (the group: hostbusd's)`,
    ),
  ];
}
