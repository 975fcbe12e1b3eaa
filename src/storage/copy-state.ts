/** What copies are made of: what is to be done, and how far it is. Shapes only. */
import type { FileHandle } from 'node:fs/promises';
import type { Logger } from 'pino';
import type { ImageFormat, ImageRef, ImageStatus } from '../../schemas/image.ts';
import type { TaskContext } from '../tasks/task-context.ts';
import type { StorageContext } from './context.ts';
import type { CopyPosition } from './copy-data.ts';
import type { CopyRecord, CopySource, SourceMark } from './copy-record.ts';
import type { ConnectedDomain } from './domain-table.ts';
import type { HolderKeeper } from './holder.ts';
import type { MadeImage } from './image-creation.ts';
import type { Layer } from './image-layers.ts';

/** A source that is open for reading. */
export interface OpenSource {
  file: FileHandle;
  /** Of an image: all of its layers, the base first; `file` is the last one's. Empty for a file of the host. */
  layers: readonly Layer[];
  mark: SourceMark;
}

/** What moves the data of a copy. */
export interface DataRun {
  readonly method: string;
  /** Moves what is left. The last part is not flushed. */
  run(): Promise<void>;
  /** Flushes, and tells what is on stable storage, as the record counts it. */
  flush(): Promise<CopyPosition>;
}

export interface CopyAnswer {
  image: ImageStatus;
  taskId: string;
}

export interface CopyPlan {
  task: TaskContext<CopyAnswer>;
  domain: ConnectedDomain;
  target: ImageRef;
  source: OpenSource & { sizeBytes: number; named: CopySource };
  /** Size of the target's file; at least the source's, unless it is converted. */
  targetSizeBytes: number;
  /** All volumes of the source's chain are copied, not only the last. */
  keepChain?: boolean;
  /** Converted by qemu-img, instead of copied as it is. */
  convert?: NonNullable<CopyRecord['convert']>;
  format: ImageFormat;
  capacityBytes: number;
}

/** What a copy that is under way consists of. */
export interface Job {
  context: StorageContext;
  plan: CopyPlan;
  log: Logger;
  made: MadeImage;
  record: CopyRecord;
  keeper: HolderKeeper;
  run: DataRun;
  /** The image is complete; nothing is to be recorded or given up any more. */
  complete: boolean;
  /** Data of the volume that this one replaces, while it is being moved. */
  earlier: FileHandle | undefined;
  /** Where the data of a volume below goes, while it is being copied. */
  belowData: FileHandle | undefined;
  /** The data files may not be fresh. */
  targetUsed: boolean;
}
