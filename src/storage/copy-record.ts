/** `.copy`: a copy in progress, so that any host can see it and go on with it. Pure: no files here. */
import Type, { type Static } from 'typebox';
import { Compile } from 'typebox/compile';
import { BadMetadata } from './key-value-text.ts';

const Bytes = Type.Integer({ minimum: 0 });

const BelowVolumeSchema = Type.Object({
  volumeId: Type.String(),
  /** As of the record: of this volume alone. */
  sourceSize: Bytes,
  total: Bytes,
  countedTo: Bytes,
});
export type BelowVolume = Static<typeof BelowVolumeSchema>;

const CopyRecordSchema = Type.Object({
  version: Type.Literal(1),
  source: Type.Union([
    Type.Object({ domainId: Type.String(), imageId: Type.String() }),
    Type.Object({ path: Type.String() }),
  ]),
  /**
   * The target is made by converting from one format into another. That cannot go on in the middle: `offset` stays 0, and who
   * goes on with it begins again.
   */
  convert: Type.Optional(Type.Object({ from: Type.Enum(['raw', 'qcow2']), to: Type.Enum(['raw', 'qcow2']) })),
  /**
   * The volumes that the image's last one builds on, base first, when all of a chain is copied; and how many are complete. Then
   * `offset` is in the file of the next one, and `sourceSize` and `countedTo` are of the last one; `done` and `total` are of all.
   */
  below: Type.Optional(
    Type.Object({ volumes: Type.Array(BelowVolumeSchema), complete: Type.Integer({ minimum: 0 }) }),
  ),
  /** Size of the source's file, bytes: a source of another size is not the one that was being copied. */
  sourceSize: Bytes,
  /** All before this offset of the file is on stable storage. Never more than is true. */
  offset: Bytes,
  /** Progress at that offset, and at the end (see copy-progress.ts). */
  done: Bytes,
  total: Bytes,
  /** Up to this offset holes do not count in `done` and `total`; behind it they do. */
  countedTo: Bytes,
  /** What the source was when the copy began: another one is not gone on with. */
  mark: Type.Optional(
    Type.Union([
      Type.Object({ volumeId: Type.String(), generation: Type.Integer() }),
      Type.Object({ inode: Type.String(), modifiedNs: Type.String() }),
    ]),
  ),
  /** A volume of the same image, whose writer may still be alive: what is in it before this offset is moved from there. */
  earlier: Type.Optional(Type.Object({ volumeId: Type.String(), offset: Bytes, done: Bytes })),
  /** Who held the copy last, unless that one gave it up on purpose. */
  heldBy: Type.Optional(Type.Object({ hostId: Type.String(), bootId: Type.String(), taskId: Type.String() })),
  /** Highest generation of a holder so far. */
  generation: Type.Integer({ minimum: 0 }),
  updatedAt: Type.String(),
});
export type CopyRecord = Static<typeof CopyRecordSchema>;
export type CopySource = CopyRecord['source'];
export type SourceMark = NonNullable<CopyRecord['mark']>;

const compiled = Compile(CopyRecordSchema);

export function encodeCopyRecord(record: CopyRecord): string {
  return `${JSON.stringify(record)}\n`;
}

/** @throws {BadMetadata} when it is not such a record */
export function decodeCopyRecord(text: string): CopyRecord {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new BadMetadata('it is not JSON');
  }
  if (!compiled.Check(value)) throw new BadMetadata('a field is missing or of the wrong type');
  if (value.done > value.total) throw new BadMetadata('it claims more than the whole');
  const { below } = value;
  if (below !== undefined && below.complete > below.volumes.length) {
    throw new BadMetadata('it claims more volumes than there are');
  }
  return value;
}

/** The volume below that is next; undefined when the turn is the last one's. */
export function currentBelow({ below }: CopyRecord): BelowVolume | undefined {
  return below?.volumes[below.complete];
}

/** What all complete volumes below count in `done`. */
export function doneBelow({ below }: CopyRecord): number {
  return (below?.volumes ?? []).slice(0, below?.complete).reduce((sum, { total }) => sum + total, 0);
}

/** Progress on stable storage, wherever it is. */
export function durableBytes(record: CopyRecord): number {
  return Math.max(record.done, record.earlier?.done ?? 0);
}
