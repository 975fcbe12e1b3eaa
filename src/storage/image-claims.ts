/** Which tasks of this host use which images. In memory: it ends with the daemon, as the tasks do. */

/** `read`: a source; any number at once. The others exclude everybody else. */
export type ClaimKind = 'read' | 'make' | 'delete';

export interface Claim {
  readonly kind: ClaimKind;
  readonly taskId: string;
}

export class ImageClaims {
  readonly #claims = new Map<string, Set<Claim>>();

  /**
   * Claims an image, at once or not at all.
   *
   * @param key - see {@link imageKey}
   * @returns a function that gives the claim up, or the claim that is in the way
   */
  claim(key: string, kind: ClaimKind, taskId: string): { release: () => void } | { blockedBy: Claim } {
    const present = this.#claims.get(key) ?? new Set<Claim>();
    const blockedBy = [...present].find((other) => kind !== 'read' || other.kind !== 'read');
    if (blockedBy !== undefined) return { blockedBy };
    const claim: Claim = { kind, taskId };
    this.#claims.set(key, present.add(claim));
    return {
      release: () => {
        present.delete(claim);
        if (present.size === 0 && this.#claims.get(key) === present) this.#claims.delete(key);
      },
    };
  }

  /** Whether this task of this host is making the image right now. */
  isMadeBy(key: string, taskId: string): boolean {
    return [...(this.#claims.get(key) ?? [])].some(
      (claim) => claim.kind === 'make' && claim.taskId === taskId,
    );
  }
}

export function imageKey(ref: { domainId: string; imageId: string }): string {
  return `${ref.domainId}/${ref.imageId}`;
}
