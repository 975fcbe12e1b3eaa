/** Types that several subjects share. */
import Type, { type TProperties } from 'typebox';

/** An object that refuses members it does not know: what callers send is never ignored. */
export function StrictObject<T extends TProperties>(properties: T, options: { description?: string } = {}) {
  return Type.Object(properties, { additionalProperties: false, ...options });
}

/** An object that may gain members in later minor versions: what hosts send. */
export function OpenObject<T extends TProperties>(properties: T, options: { description?: string } = {}) {
  return Type.Object(properties, options);
}

export const hostIdPattern = '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$';
const uuidPattern = '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$';

export const HostId = Type.String({
  pattern: hostIdPattern,
  description: 'Host ID: 1 to 63 of a-z, 0-9 and -, not starting or ending with -',
});
export const BootId = Type.String({ description: 'New at every start of a daemon' });
export const TaskId = Type.String({
  minLength: 1,
  maxLength: 128,
  description: 'Task ID: the string form of the JSON-RPC id',
});
export const DomainId = Type.String({
  pattern: uuidPattern,
  description: 'Storage domain ID: a UUID in lower case',
});
export const ImageId = Type.String({ pattern: uuidPattern, description: 'Image ID: a UUID in lower case' });
export const VolumeId = Type.String({ pattern: uuidPattern, description: 'Volume ID: a UUID in lower case' });
export const Timestamp = Type.String({ description: 'RFC 3339, UTC, milliseconds' });
export const Bytes = Type.Integer({ minimum: 0, description: 'Bytes' });
export const AbsolutePath = Type.String({
  minLength: 1,
  maxLength: 4096,
  pattern: '^/[^\\u0000]*$',
  description: 'An absolute path on the host, inside one of its storage roots',
});
export const Cursor = Type.String({
  maxLength: 1024,
  description: '`nextCursor` of the page before; absent for the first page',
});
export const PageLimit = Type.Integer({
  minimum: 1,
  maximum: 1000,
  default: 100,
  description: 'How many entries a page may have',
});
export const NoParams = StrictObject({});
