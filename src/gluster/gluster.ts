/** The Gluster verbs of this host, put together. Gluster keeps all state: nothing here is remembered. */
import { dirname, join } from 'node:path';
import type { Logger } from 'pino';
import type { Happening } from '../../schemas/events.ts';
import type { glusterVerbs } from '../../schemas/gluster-verbs.ts';
import { isInstalled } from '../programs/find-program.ts';
import type { ImplementationsOf } from '../tasks/task-context.ts';
import { brickImplementations } from './bricks.ts';
import { type CommandTuning, defaultTuning, GlusterCommands } from './command.ts';
import { consistencyGroupImplementations } from './consistency-groups.ts';
import { geoReplicationImplementations } from './geo-replication.ts';
import { geoReplicationHostImplementations } from './geo-replication-hosts.ts';
import { HeldSessions } from './held-sessions.ts';
import { hookImplementations } from './hooks.ts';
import { OperationLooks } from './operation-looks.ts';
import { OperationMemory } from './operation-memory.ts';
import { OperationWatcher } from './operation-watcher.ts';
import { operationImplementations } from './operations.ts';
import { peerImplementations } from './peers.ts';
import { serviceImplementations } from './services.ts';
import { snapshotImplementations } from './snapshots.ts';
import { tidy } from './tidying.ts';
import { volumeHealthImplementations } from './volume-health.ts';
import { volumeImplementations } from './volumes.ts';
import { webhookImplementations } from './webhooks.ts';

/** glusterd's, where its packages put it. */
const workDirectory = '/var/lib/glusterd';
const hookDirectory = `${workDirectory}/hooks/1`;

export interface GlusterOptions {
  readonly hostId: string;
  readonly bootId: string;
  readonly log: Logger;
  /** The command line: a name that is looked for in PATH, or a path. */
  readonly program: string;
  /** How long one command may take. Seconds. */
  readonly timeoutS: number;
  /** Told after the state that it reports can be read back. Kind: `operation`. */
  readonly emit: (happening: Happening) => void;
  /** Between two looks at operations, while one runs and while none does. */
  readonly operationIntervalMs: number;
  readonly operationIdleIntervalMs: number;
  /** How long a running operation may show no sign of life. */
  readonly operationStaleAfterMs: number;
}

export interface Gluster {
  readonly implementations: ImplementationsOf<typeof glusterVerbs>;
  /** Whether the program is there, now. */
  installed(): boolean;
  /** From now on tells of operations, whoever starts them; clears away what dead daemons have left, and resumes what they have paused. */
  watch(): void;
  /** Ends what is under way, of our side. */
  close(): Promise<void>;
}

/** How long geo-replication stays paused at most, and how soon it is noticed that it stayed so. */
const heldSessionsTuning = { lookEveryMs: 60_000, holdMs: 60_000, holdPerVolumeMs: 30_000 };

/** @param tuning - for tests; production uses the defaults */
export function createGluster(options: GlusterOptions, tuning: Partial<CommandTuning> = {}): Gluster {
  const { hostId, bootId, log, program } = options;
  const commands = new GlusterCommands(options, { ...defaultTuning, ...tuning });
  const volumeLooks = { clientProgram: besideProgram(program, 'glusterfs'), timeoutS: options.timeoutS };
  const held = new HeldSessions({ commands, hostId, bootId, log, ...heldSessionsTuning });
  const installed = () => isInstalled(program);
  const operations = new OperationLooks(commands, new OperationMemory(options.operationStaleAfterMs));
  const watcher = new OperationWatcher(operations, {
    log,
    emit: options.emit,
    installed,
    intervalMs: options.operationIntervalMs,
    idleIntervalMs: options.operationIdleIntervalMs,
  });
  return {
    implementations: {
      ...peerImplementations(commands),
      ...volumeImplementations(commands),
      ...volumeHealthImplementations(commands, volumeLooks),
      ...brickImplementations(commands),
      ...snapshotImplementations(commands, hostId),
      ...consistencyGroupImplementations({ commands, held }),
      ...operationImplementations({ commands, looks: operations, watcher }),
      ...geoReplicationImplementations(commands),
      ...geoReplicationHostImplementations(commands, `${workDirectory}/geo-replication`),
      ...hookImplementations(hookDirectory),
      ...serviceImplementations(commands),
      ...webhookImplementations(commands, `${workDirectory}/events`),
    },
    watch: () => {
      if (installed()) void tidy({ hookDirectory, hostId, log });
      void held.watch(installed);
      watcher.start();
    },
    installed,
    close: async () => {
      held.close();
      commands.close();
      await watcher.close();
    },
  };
}

/** Another program of Gluster: in the same directory where one is configured, else in PATH. */
function besideProgram(program: string, other: string): string {
  return program.includes('/') ? join(dirname(program), other) : other;
}
