import { createHash, randomBytes } from 'node:crypto';

/**
 * RabbitMQ's own form (rabbit_password_hashing_sha256): base64 of a 4-byte salt followed by the SHA-256 of salt and
 * password. One round only: use it for long random passwords, and keep the hashes to yourself.
 */
export function hashPassword(password: string, salt: Buffer = randomBytes(4)): string {
  const digest = createHash('sha256').update(salt).update(password, 'utf8').digest();
  return Buffer.concat([salt, digest]).toString('base64');
}
