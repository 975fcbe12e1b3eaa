/** Copies that are under way when a fault comes, and what the storage has of them afterwards. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomBytes, randomUUID } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { HostbusError } from '../../schemas/errors.ts';
import type { ImageStatus } from '../../schemas/image.ts';
import { HostUnreachable } from '../../src/client/client.ts';
import { until } from '../lib/until.ts';
import { askFor } from './load.ts';
import type { World } from './world.ts';

const mib = 1024 * 1024;

interface Copy {
  readonly imageId: string;
  /** Whether the host has said that the target exists. */
  readonly answered: Promise<boolean>;
}

export interface CopyCounts {
  copies: number;
  /** Went on by themselves, or had ended. */
  whole: number;
  /** Found interrupted, continued, and whole then. */
  continued: number;
  /** Nobody had been told that they exist, and they do not. */
  notMade: number;
}

export class Copies {
  readonly counts: CopyCounts = { copies: 0, whole: 0, continued: 0, notMade: 0 };
  readonly #world: World;
  readonly #hostId: string;
  readonly #domainId = randomUUID();
  readonly #sourceId = randomUUID();
  readonly #path: string;
  readonly #running: Copy[] = [];

  private constructor(world: World, hostId: string) {
    this.#world = world;
    this.#hostId = hostId;
    this.#path = join(world.dir, 'storage');
  }

  /** Makes a domain with an image in it, on a host that serves. */
  static async prepare(world: World, hostId: string, sizeMib: number): Promise<Copies> {
    const copies = new Copies(world, hostId);
    const host = world.client.host(hostId);
    const path = join(world.dir, 'disk');
    await mkdir(copies.#path);
    await writeFile(path, randomBytes(sizeMib * mib));
    const domainId = copies.#domainId;
    await host.call('createStorageDomain', { domainId, path: copies.#path });
    const imported = { domainId, imageId: copies.#sourceId, path, format: 'raw' } as const;
    const { taskId } = await host.call('importImage', imported);
    assert.deepEqual(await askFor(world.client, hostId, taskId), { is: 'found', state: 'succeeded' });
    return copies;
  }

  /** Asks for a copy. */
  begin(): Copy {
    const imageId = randomUUID();
    const domainId = this.#domainId;
    const { client } = this.#world;
    const source = { domainId, imageId: this.#sourceId };
    const copy: Copy = {
      imageId,
      answered: client
        .host(this.#hostId)
        .call('copyImage', { source, target: { domainId, imageId } })
        .then(
          () => true,
          () => false,
        ),
    };
    this.#running.push(copy);
    return copy;
  }

  /**
   * Compares each copy that was begun with its source, and removes it.
   * @param died - whether its host died meanwhile; a copy goes on otherwise, whatever happens to the bus
   */
  async check(died: boolean): Promise<void> {
    if (died) await this.#call('connectStorageDomain', { domainId: this.#domainId, path: this.#path });
    for (const { imageId, answered } of this.#running.splice(0)) {
      this.counts.copies += 1;
      const wasAnswered = await answered;
      let image = await this.#settled(imageId);
      if (image === undefined) {
        assert.ok(!wasAnswered, `image ${imageId} is gone, though its copy was answered`);
        this.counts.notMade += 1;
        continue;
      }
      if (image.status === 'interrupted') {
        assert.ok(died, `the copy to ${imageId} was interrupted, though its host lives`);
        await this.#call('continueImageCopy', { domainId: this.#domainId, imageId });
        image = await this.#settled(imageId);
        this.counts.continued += 1;
      } else this.counts.whole += 1;
      assert.equal(image?.status, 'ok', image?.message);
      const source = await this.#settled(this.#sourceId);
      execFileSync('cmp', [this.#dataOf(source), this.#dataOf(image)]);
      await this.#call('deleteImage', { domainId: this.#domainId, imageId });
    }
  }

  #dataOf(image: ImageStatus | undefined): string {
    assert.ok(image !== undefined);
    return join(this.#path, this.#domainId, 'images', image.imageId, image.volumeId);
  }

  /** The image when nobody copies to it any more; undefined when there is none. */
  async #settled(imageId: string): Promise<ImageStatus | undefined> {
    const { client } = this.#world;
    return until<ImageStatus | 'none'>('the copy has ended', async () => {
      try {
        const params = { domainId: this.#domainId, imageId };
        const image = await client.host(this.#hostId).call('getImageStatus', params);
        return image.status !== 'copying' && image;
      } catch (error) {
        if (error instanceof HostbusError && error.name === 'ImageNotFound') return 'none';
        throw error;
      }
    }).then((image) => (image === 'none' ? undefined : image));
  }

  #call(method: string, params: object): Promise<unknown> {
    return until(method, async () => {
      try {
        return (await this.#world.client.host(this.#hostId).callUntyped(method, params)) ?? true;
      } catch (error) {
        if (error instanceof HostUnreachable) return undefined;
        throw error;
      }
    });
  }
}
