/** Connects the domains that the configuration names, and keeps trying those that cannot be connected. */
import type { Domain } from '../../schemas/domain.ts';
import { HostbusError } from '../../schemas/errors.ts';
import type { StorageContext } from './context.ts';
import type { ContinueCopies } from './domain-table.ts';
import type { DomainConnector } from './domain-verbs.ts';

export interface ConfiguredDomain {
  id: string;
  path: string;
  /** What a starting daemon does about copies that its earlier boot left. */
  continueCopies: ContinueCopies;
}

export class ConfiguredDomains {
  readonly #context: StorageContext;
  readonly #connector: DomainConnector;
  readonly #timers = new Set<NodeJS.Timeout>();
  #closed = false;

  constructor(context: StorageContext, connector: DomainConnector) {
    this.#context = context;
    this.#connector = connector;
  }

  /** Resolves after the first try of each; never throws. Those that failed are `down`, and tried again in the background. */
  async connect(domains: readonly ConfiguredDomain[]): Promise<void> {
    await Promise.all(domains.map((domain) => this.#try(domain, this.#context.tuning.retryMinMs)));
  }

  close(): void {
    this.#closed = true;
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
  }

  async #try(domain: ConfiguredDomain, waitMs: number): Promise<void> {
    try {
      await this.#connector.connect(domain.id, domain.path, domain.continueCopies);
    } catch (error) {
      this.#failed(domain, error);
      this.#tryLater(domain, waitMs);
    }
  }

  #failed(domain: ConfiguredDomain, error: unknown): void {
    const { domains, options } = this.#context;
    options.log.warn(
      { err: error, domainId: domain.id },
      'The configured storage domain cannot be connected',
    );
    if (domains.find(domain.id)?.directory !== undefined) return;
    const message =
      error instanceof HostbusError ? error.message : 'The daemon could not connect it; see its log';
    domains.set({
      domainId: domain.id,
      path: domain.path,
      directory: undefined,
      continueCopies: domain.continueCopies,
      last: downDomain(domain, message),
    });
  }

  #tryLater(domain: ConfiguredDomain, waitMs: number): void {
    if (this.#closed) return;
    const { retryMaxMs } = this.#context.tuning;
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      // Disconnected by somebody, or connected: then there is nothing left to do.
      const entry = this.#context.domains.find(domain.id);
      if (entry === undefined || entry.directory !== undefined) return;
      void this.#try(domain, Math.min(waitMs * 2, retryMaxMs));
    }, waitMs);
    this.#timers.add(timer);
  }
}

function downDomain(domain: ConfiguredDomain, message: string): Domain {
  return {
    domainId: domain.id,
    name: '',
    path: domain.path,
    status: 'down',
    capacity: 0,
    available: 0,
    readDelay: 0,
    lastCheckedAt: new Date().toISOString(),
    message,
  };
}
