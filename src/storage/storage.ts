/** The storage verbs of this host, put together. */
import type { Domain } from '../../schemas/domain.ts';
import { AutoContinue } from './auto-continue.ts';
import { type CheckVerbs, checkVerbs } from './check-verbs.ts';
import { type ConfiguredDomain, ConfiguredDomains } from './configured-domains.ts';
import type { StorageContext } from './context.ts';
import { type ContinueVerbs, continueVerbs } from './continue-verb.ts';
import { type ConvertVerbs, convertVerbs } from './convert-verbs.ts';
import { type CopyVerbs, copyVerbs } from './copy-verbs.ts';
import { DomainProber } from './domain-prober.ts';
import { DomainTable } from './domain-table.ts';
import { type DomainVerbs, domainConnector, domainVerbs } from './domain-verbs.ts';
import { HolderWatch } from './holder.ts';
import { ImageClaims } from './image-claims.ts';
import { type ImageVerbs, imageVerbs } from './image-verbs.ts';
import { defaultTuning, type StorageOptions, type StorageTuning } from './options.ts';

export type { ConfiguredDomain, StorageOptions, StorageTuning };

export interface Storage {
  readonly implementations: DomainVerbs & ImageVerbs & CopyVerbs & ContinueVerbs & ConvertVerbs & CheckVerbs;
  /** The domains of this host as they were last seen; from memory, at once. */
  domains(): Domain[];
  /**
   * Connects what the configuration names. Resolves after the first try of each, which has a time limit; never throws. A domain that cannot be
   * connected is `down`, with the reason in its message and event, and is tried again in the background.
   */
  connectConfigured(domains: readonly ConfiguredDomain[]): Promise<void>;
  /** From now on a copy that is stopped is one that the daemon's end cut short: its next start goes on with it, if it is to. */
  stopping(): void;
  /** Stops what runs in the background. Copies are stopped by their tasks' signals. */
  close(): Promise<void>;
}

/**
 * Makes the storage of one host. Whatever is under way in a domain holds one thread of the pool each, and one that hangs holds
 * them until it answers: set UV_THREADPOOL_SIZE to what a few hanging domains may hold, and more.
 */
export function createStorage(options: StorageOptions, tuning: Partial<StorageTuning> = {}): Storage {
  const compiled = Object.freeze({ ...defaultTuning, ...tuning });
  const ending = new AbortController();
  const context: StorageContext = {
    options,
    tuning: compiled,
    domains: new DomainTable(options, compiled),
    claims: new ImageClaims(),
    holders: new HolderWatch(compiled.holderTermMs),
    stopping: ending.signal,
  };
  const connector = domainConnector(context, new AutoContinue(context));
  const configured = new ConfiguredDomains(context, connector);
  const prober = new DomainProber(context.domains, compiled.probeIntervalMs);
  return {
    implementations: {
      ...domainVerbs(context, connector),
      ...imageVerbs(context),
      ...copyVerbs(context),
      ...continueVerbs(context),
      ...convertVerbs(context),
      ...checkVerbs(context),
    },
    domains: () => context.domains.entries().map(({ last }) => last),
    connectConfigured: (domains) => configured.connect(domains),
    stopping: () => ending.abort(),
    close: async () => {
      prober.close();
      configured.close();
      ending.abort();
    },
  };
}
