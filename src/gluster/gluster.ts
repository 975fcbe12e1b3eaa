/** The Gluster verbs of this host, put together. Gluster keeps all state: nothing here is remembered. */
import { dirname, join } from 'node:path';
import type { glusterVerbs } from '../../schemas/gluster-verbs.ts';
import { isInstalled } from '../programs/find-program.ts';
import type { ImplementationsOf } from '../tasks/task-context.ts';
import { brickImplementations } from './bricks.ts';
import { type CommandTuning, defaultTuning, GlusterCommands } from './command.ts';
import { peerImplementations } from './peers.ts';
import { volumeHealthImplementations } from './volume-health.ts';
import { volumeImplementations } from './volumes.ts';

export interface GlusterOptions {
  /** The command line: a name that is looked for in PATH, or a path. */
  readonly program: string;
  /** How long one command may take. Seconds. */
  readonly timeoutS: number;
}

export interface Gluster {
  readonly implementations: ImplementationsOf<typeof glusterVerbs>;
  /** Whether the program is there, now. */
  installed(): boolean;
  /** Ends what is under way, of our side. */
  close(): void;
}

/** @param tuning - for tests; production uses the defaults */
export function createGluster(options: GlusterOptions, tuning: Partial<CommandTuning> = {}): Gluster {
  const commands = new GlusterCommands(options, { ...defaultTuning, ...tuning });
  const { program, timeoutS } = options;
  const looks = { clientProgram: besideProgram(program, 'glusterfs'), timeoutS };
  return {
    implementations: {
      ...peerImplementations(commands),
      ...volumeImplementations(commands),
      ...volumeHealthImplementations(commands, looks),
      ...brickImplementations(commands),
    },
    installed: () => isInstalled(options.program),
    close: () => commands.close(),
  };
}

/** Another program of Gluster: in the same directory where one is configured, else in PATH. */
function besideProgram(program: string, other: string): string {
  return program.includes('/') ? join(dirname(program), other) : other;
}
