/** What all storage verbs share. */
import type { DomainTable } from './domain-table.ts';
import type { HolderWatch } from './holder.ts';
import type { ImageClaims } from './image-claims.ts';
import type { StorageOptions, StorageTuning } from './options.ts';

export interface StorageContext {
  readonly options: StorageOptions;
  readonly tuning: Readonly<StorageTuning>;
  readonly domains: DomainTable;
  readonly claims: ImageClaims;
  readonly holders: HolderWatch;
  /** Aborted when the daemon ends: a copy that is stopped from then on is one that its end cut short. */
  readonly stopping: AbortSignal;
}

/** What identifies a caller's task to the storage. */
export interface TaskRef {
  readonly taskId: string;
  readonly flowId: string | undefined;
}
