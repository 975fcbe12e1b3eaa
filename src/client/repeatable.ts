/** Which verbs may be sent again when nobody knows whether the first one arrived: those that only read. */

let repeatable: Promise<ReadonlySet<string>> | undefined;

/** Loaded when first needed: a program whose connection never breaks never reads the document. */
export async function isRepeatable(method: string): Promise<boolean> {
  repeatable ??= load();
  return (await repeatable).has(method);
}

async function load(): Promise<ReadonlySet<string>> {
  const { default: document } = await import('../../schemas/openrpc.json', { with: { type: 'json' } });
  const readers = document.methods.filter(({ 'x-hostbus': verb }) => verb.query && verb.access === 'read');
  return new Set(readers.map(({ name }) => name));
}
