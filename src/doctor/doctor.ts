/** `hostbus doctor`: what hostbusd needs on this host, checked one by one. Changes nothing, and disturbs no running daemon. */
import { examineBroker } from './broker.ts';
import { examineConfiguration } from './configuration.ts';
import { examineDaemon, type WithCaller } from './daemon.ts';
import { type Finding, findingsOf } from './finding.ts';
import { examineClock, examineLimits, examineNode, examineSandbox, examineService } from './host.ts';
import { examinePermissions } from './permissions.ts';
import { examinePrograms } from './programs.ts';
import { examineStorage } from './storage.ts';
import { becomeUser } from './user.ts';

export interface Examination {
  readonly configFile: string | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Whom root becomes for the checks; undefined: the unit's user. */
  readonly user: string | undefined;
  readonly withCaller: WithCaller | undefined;
  /** A file system hangs: this process can end only by force. */
  hangs(): void;
}

/** What was found, as it is found. */
export async function* examine({
  configFile,
  env,
  user,
  withCaller,
  hangs,
}: Examination): AsyncGenerator<Finding> {
  yield examineNode();
  const { config, findings } = examineConfiguration(configFile, env);
  yield* findings;
  const { service, finding } = await examineService();
  yield finding;
  yield* examineSandbox(service?.writable, config?.storage.roots ?? []);
  yield becomeUser(user, service?.user);
  yield examineLimits(service?.pid);
  yield* await examinePrograms(config?.gluster.program ?? 'gluster');
  yield await examineClock();
  if (config === undefined) {
    for (const check of ['root', 'broker', 'permissions', 'daemon'])
      yield findingsOf(check).skipped('the configuration cannot be used');
    return;
  }
  const storage = await examineStorage(config);
  if (storage.hangs) hangs();
  yield* storage.findings;
  const broker = await examineBroker(config);
  yield* broker.findings;
  const { open } = broker;
  if (open === undefined) {
    for (const check of ['permissions', 'daemon'])
      yield findingsOf(check).skipped('no broker lets hostbusd in');
    return;
  }
  try {
    yield* await examinePermissions(open.session, config.host_id);
    yield* await examineDaemon({ config, open, service, withCaller });
  } finally {
    await open.close();
  }
}
