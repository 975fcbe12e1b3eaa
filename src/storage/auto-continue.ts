/**
 * `continue_copies = "auto"`: what an earlier boot of this host was copying goes on by itself, in a new task for each copy.
 * Which copies these are stands in the storage (`heldBy` of `.copy`), so a start that is itself cut short loses none.
 */
import { readdir } from 'node:fs/promises';
import type { Logger } from 'pino';
import { HostbusError } from '../../schemas/errors.ts';
import type { ImageRef } from '../../schemas/image.ts';
import type { StorageContext } from './context.ts';
import type { ConnectedDomain } from './domain-table.ts';
import { imageKey } from './image-claims.ts';
import { readImage } from './image-reader.ts';
import { domainPaths, isUuid } from './layout.ts';
import { forEachOf } from './recovery.ts';
import { hasCopyRecord } from './source-readers.ts';

const concurrency = 8;
/** What may be over after a while: somebody holds it, a domain is not connected yet, too much to do. */
const passing = new Set(['ImageBusy', 'DomainNotFound', 'DomainUnavailable', 'Overloaded']);

export class AutoContinue {
  readonly #context: StorageContext;
  readonly #log: Logger;
  /** Images that are being looked after, so that connecting again starts no second task. */
  readonly #images = new Set<string>();
  readonly #timers = new Set<NodeJS.Timeout>();

  constructor(context: StorageContext) {
    this.#context = context;
    this.#log = context.options.log;
    context.stopping.addEventListener('abort', () => {
      for (const timer of this.#timers) clearTimeout(timer);
      this.#timers.clear();
    });
  }

  /** Looks through a domain that was just connected, in the background. Never throws. */
  begin(domain: ConnectedDomain): void {
    if (this.#context.options.startTask === undefined) return;
    void this.#lookThrough(domain).catch((error: unknown) => {
      this.#log.warn({ err: error, domainId: domain.domainId }, 'Interrupted copies could not be looked for');
    });
  }

  async #lookThrough(domain: ConnectedDomain): Promise<void> {
    const names = await readdir(domainPaths.images(domain.directory));
    await forEachOf(names.filter(isUuid), concurrency, async (imageId) => {
      if (!(await hasCopyRecord(domainPaths.image(domain.directory, imageId)))) return;
      const ref = { domainId: domain.domainId, imageId };
      if (this.#images.has(imageKey(ref)) || (await this.#state(ref)) !== 'ours') return;
      this.#images.add(imageKey(ref));
      void this.#goOn(ref, this.#context.tuning.retryMinMs);
    });
  }

  /** `ours`: an earlier boot of this host was the last who held the copy, and it is not complete. */
  async #state(ref: ImageRef): Promise<'ours' | 'held' | 'not ours'> {
    const { hostId, bootId } = this.#context.options;
    try {
      const domain = this.#context.domains.connected(ref.domainId);
      const { status, volume } = await readImage(this.#context, domain, ref.imageId);
      if (status.status === 'copying') return 'held';
      const heldBy = volume?.record?.heldBy;
      const ours = heldBy?.hostId === hostId && heldBy.bootId !== bootId;
      return status.status === 'interrupted' && ours ? 'ours' : 'not ours';
    } catch (error) {
      if (error instanceof HostbusError) return passing.has(error.name) ? 'held' : 'not ours';
      throw error;
    }
  }

  async #goOn(ref: ImageRef, waitMs: number): Promise<void> {
    try {
      await this.#context.options.startTask?.('continueImageCopy', ref);
    } catch (error) {
      const name = error instanceof HostbusError ? error.name : 'an unexpected error';
      this.#log.warn({ err: error, ...ref, again: passing.has(name) }, 'A copy did not go on by itself');
      if (passing.has(name)) return this.#later(ref, waitMs);
    }
    this.#images.delete(imageKey(ref));
  }

  #later(ref: ImageRef, waitMs: number): void {
    if (this.#context.stopping.aborted) return;
    const again = async () => {
      // Somebody else may have brought it to its end meanwhile, or deleted it.
      const state = await this.#state(ref);
      const nextMs = Math.min(waitMs * 2, this.#context.tuning.retryMaxMs);
      if (state === 'ours') await this.#goOn(ref, nextMs);
      else if (state === 'held') this.#later(ref, nextMs);
      else this.#images.delete(imageKey(ref));
    };
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      void again().catch((error: unknown) => {
        this.#images.delete(imageKey(ref));
        this.#log.warn({ err: error, ...ref }, 'A copy did not go on by itself');
      });
    }, waitMs);
    this.#timers.add(timer);
  }
}
