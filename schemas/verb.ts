/** How a verb is declared. Validation, documents, access, task record and events all come from the declaration. */
import type { Static, TObject, TProperties, TSchema } from 'typebox';
import type { ErrorName } from './errors.ts';

/** What a verb needs: `read` looks, `write` changes, `admin` may lose data or cut a host off. */
export type AccessLevel = 'none' | 'read' | 'write' | 'admin';

/**
 * Where a verb runs.
 * - `memory`: at once, on data that the daemon holds in memory
 * - `wait`: at once, and may last; it holds nothing but its ID
 * - `read`: short looks at storage
 * - `change`: short changes of storage
 * - `copy`: long movements of data
 * - `gluster`: changes that Gluster is asked for, one at a time: it refuses a second one while the first runs
 *
 * `read`, `change` and `copy` have a concurrency limit for each {@link VerbDeclaration.laneKey}, so that one slow storage domain
 * never delays another's verbs.
 */
export const laneNames = ['memory', 'wait', 'read', 'change', 'copy', 'gluster'] as const;
export type LaneName = (typeof laneNames)[number];

export interface Subject {
  kind:
    | 'image'
    | 'domain'
    | 'peer'
    | 'volume'
    | 'brick'
    | 'snapshot'
    | 'geoReplication'
    | 'hook'
    | 'service'
    | 'webhook'
    | 'host';
  id: string;
}

export interface VerbDeclaration<N extends string, P extends TProperties, R extends TSchema> {
  /** The JSON-RPC method. */
  readonly name: N;
  /** What it does, for people: the first sentence stands alone in lists. */
  readonly doc: string;
  /** Parameters by name; their order here is the order of parameters by position. */
  readonly params: TObject<P>;
  readonly result: R;
  /** Errors of its own, beside those that every verb can end with. */
  readonly errors: readonly ErrorName[];
  readonly access: Exclude<AccessLevel, 'none'>;
  readonly lane: LaneName;
  /** The part of the lane that the call queues in: the storage domain that it works on. */
  laneKey?(params: Static<TObject<P>>): string;
  /** A query only reads: it leaves no record and causes no event. */
  readonly query: boolean;
  /** Whether a running task of this verb can be asked to stop. */
  readonly cancellable: boolean;
  /** The object that a task of this verb works on. */
  subject?(params: Static<TObject<P>>): Subject;
  /** Parameters of a call that makes sense, for the documents. */
  readonly example: Static<TObject<P>>;
}

/** A verb of any parameters, as tables of verbs hold it. */
export type Verb = VerbDeclaration<string, TProperties, TSchema>;

export type ParamsOf<V> = V extends { params: infer P extends TSchema } ? Static<P> : never;
export type ResultOf<V> = V extends { result: infer R extends TSchema } ? Static<R> : never;

/** Declares a verb; exists for its types. */
export function defineVerb<const N extends string, P extends TProperties, R extends TSchema>(
  declaration: VerbDeclaration<N, P, R>,
): VerbDeclaration<N, P, R> {
  return Object.freeze(declaration);
}
