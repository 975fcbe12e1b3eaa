/** What the storage is given: by the daemon, and by its configuration. */
import type { Logger } from 'pino';
import type { Happening } from '../../schemas/events.ts';
import type { ImageRef } from '../../schemas/image.ts';
import type { MoveMethod } from './data-mover.ts';

export interface StorageOptions {
  hostId: string;
  /** New at every start of the daemon. */
  bootId: string;
  /** Absolute paths; everything outside of them is refused with InvalidPath. */
  roots: readonly string[];
  log: Logger;
  /** Told after the state that it reports can be read back. Kinds: `image` and `domain`. */
  emit: (happening: Happening) => void;
  /**
   * Starts a task of this host's own, for copies that are to go on by themselves. Resolves or rejects with its answer. Without it
   * none do.
   */
  startTask?: (verb: 'continueImageCopy', params: ImageRef) => Promise<unknown>;
  /** Told of a task that waits for a file system which hangs: meanwhile it is to hold no place that others need. */
  stepAside?: (taskId: string) => void;
}

/** Times and sizes: some are configured, the others have one right value in production. Tests need shorter ones. */
export interface StorageTuning {
  /** Time between two looks at each connected domain. */
  probeIntervalMs: number;
  /** How long a look at a domain may take before it is `down`. */
  lookLimitMs: number;
  /** How many looks at the images of a domain may be under way at once: each holds a thread. */
  readsAtOnce: number;
  /** How long a holder must be seen unchanged until it is dead. The same on all hosts of a domain. */
  holderTermMs: number;
  /** How often a holder is renewed; well below the term. */
  holderRenewMs: number;
  /** How often a copy flushes and records how far it is. */
  checkpointMs: number;
  /** Pieces in which data is copied. */
  chunkBytes: number;
  /** The best way to move data that is tried; worse ones follow by themselves. */
  bestMethod: MoveMethod;
  /** First wait before a configured domain is tried again, doubled up to the greatest. */
  retryMinMs: number;
  retryMaxMs: number;
}

export const defaultTuning: Readonly<StorageTuning> = Object.freeze({
  probeIntervalMs: 10_000,
  lookLimitMs: 5_000,
  readsAtOnce: 16,
  holderTermMs: 15_000,
  holderRenewMs: 3_000,
  checkpointMs: 1_000,
  chunkBytes: 16 * 1024 * 1024,
  bestMethod: 'clone',
  retryMinMs: 1_000,
  retryMaxMs: 30_000,
});
