/** Who may call what: the access levels of broker users. */
import { HostbusError } from '../../schemas/errors.ts';
import type { AccessLevel, Verb } from '../../schemas/verb.ts';

const rank: Readonly<Record<AccessLevel, number>> = { none: 0, read: 1, write: 2, admin: 3 };

export interface AccessPolicy {
  /** The highest level that a broker user has. */
  readonly users: Readonly<Record<string, AccessLevel>>;
  /**
   * The level of requests without a verified user, and of users that are not listed: anyone could leave `user_id` out, so a
   * user who is not listed cannot have less.
   */
  readonly anonymous: AccessLevel;
}

/** Throws NotAllowed where the caller's level is lower than the verb's. `user` is what the broker verified. */
export type AccessCheck = (user: string | undefined, verb: Verb) => void;

export function compileAccess(policy: AccessPolicy): AccessCheck {
  const users = new Map(Object.entries(policy.users));
  return (user, verb) => {
    const level = (user === undefined ? undefined : users.get(user)) ?? policy.anonymous;
    if (rank[level] >= rank[verb.access]) return;
    const who = user === undefined ? 'A request without a verified user' : `User ${user}`;
    throw new HostbusError(
      'NotAllowed',
      `${who} has access level "${level}"; ${verb.name} needs "${verb.access}" (see [access] in the host's configuration)`,
      { user: user ?? null, method: verb.name },
    );
  };
}
