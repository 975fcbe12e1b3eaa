/** Reads the OpenRPC document: what verbs there are, what they take and give. */
import { readFile } from 'node:fs/promises';
import { isObject, type JsonObject, listMember, member, textMember } from './json.ts';

/** A JSON Schema, references resolved. Keywords that this program does not know are left to the host. */
export type Schema = JsonObject;

export interface VerbDoc {
  readonly name: string;
  readonly doc: string;
  /** The parameters as the properties of one object schema. */
  readonly params: Schema;
  readonly paramNames: readonly string[];
  readonly result: Schema;
  readonly errors: readonly { name: string; code: number | undefined; message: string }[];
  readonly access: string | undefined;
  readonly lane: string | undefined;
  /** It only reads: it leaves no task behind that could be followed. */
  readonly query: boolean;
  readonly cancellable: boolean;
  /** Parameters of a call that makes sense. */
  readonly example: JsonObject | undefined;
}

/**
 * The verbs of a document, in its order.
 * @throws Error when it is not an OpenRPC document
 */
export function readVerbs(document: unknown): VerbDoc[] {
  if (!isObject(document) || !Array.isArray(document.methods))
    throw new Error('The host answered rpc.discover with something that is not an OpenRPC document');
  return document.methods
    .map((method) => resolve(method, document, []))
    .filter((method) => textMember(method, 'name') !== undefined)
    .map(readVerb);
}

/**
 * The verbs of the document that belongs to this version of the program.
 * @throws Error when the file is missing or damaged: the installation is not whole
 */
export async function committedVerbs(): Promise<VerbDoc[]> {
  // from a checkout the sources are two levels below the root, in a build (dist/src/cli) three
  for (const path of ['../../schemas/openrpc.json', '../../../schemas/openrpc.json']) {
    const text = await readFile(new URL(path, import.meta.url), 'utf8').catch(
      (error: NodeJS.ErrnoException) => {
        if (error.code === 'ENOENT') return undefined;
        throw error;
      },
    );
    if (text !== undefined) return readVerbs(JSON.parse(text));
  }
  throw new Error(
    'schemas/openrpc.json is missing from this installation; name a host and its own document is read',
  );
}

function readVerb(method: unknown): VerbDoc {
  const params = listMember(method, 'params').filter(isObject);
  const extension = member(method, 'x-hostbus');
  const summary = textMember(method, 'summary') ?? '';
  const description = textMember(method, 'description') ?? '';
  return {
    name: textMember(method, 'name') ?? '',
    doc: description === '' ? summary : description,
    params: paramsSchema(params),
    paramNames: params.map((param) => textMember(param, 'name') ?? ''),
    result: asSchema(member(member(method, 'result'), 'schema')),
    errors: listMember(method, 'errors').map(readError),
    access: textMember(extension, 'access'),
    lane: textMember(extension, 'lane'),
    query: member(extension, 'query') === true,
    cancellable: member(extension, 'cancellable') === true,
    example: readExample(method),
  };
}

function paramsSchema(params: readonly JsonObject[]): Schema {
  const properties = params.map((param) => {
    const schema = asSchema(param.schema);
    const description = textMember(schema, 'description') ?? textMember(param, 'description');
    return [textMember(param, 'name') ?? '', description === undefined ? schema : { ...schema, description }];
  });
  return {
    type: 'object',
    properties: Object.fromEntries(properties),
    required: params.filter((param) => param.required === true).map((param) => param.name),
    additionalProperties: false,
  };
}

function readError(error: unknown): VerbDoc['errors'][number] {
  const code = member(error, 'code');
  const message = textMember(error, 'message') ?? '';
  return {
    name: textMember(member(error, 'data'), 'name') ?? message,
    code: typeof code === 'number' ? code : undefined,
    message,
  };
}

function readExample(method: unknown): JsonObject | undefined {
  const ours = member(member(method, 'x-hostbus'), 'example');
  if (isObject(ours)) return ours;
  const [pairing] = listMember(method, 'examples');
  if (!isObject(pairing)) return undefined;
  const values = listMember(pairing, 'params').map((param) => [
    textMember(param, 'name') ?? '',
    member(param, 'value'),
  ]);
  return Object.fromEntries(values);
}

function asSchema(value: unknown): Schema {
  return isObject(value) ? value : {};
}

/** Puts what `$ref` points at in its place. What refers to itself becomes `{}`, which allows anything: the host knows better. */
function resolve(node: unknown, root: unknown, open: readonly string[]): unknown {
  if (Array.isArray(node)) return node.map((item) => resolve(item, root, open));
  if (!isObject(node)) return node;
  const reference = textMember(node, '$ref');
  if (reference !== undefined) {
    if (!reference.startsWith('#/') || open.includes(reference)) return {};
    return resolve(pointed(reference, root), root, [...open, reference]);
  }
  return Object.fromEntries(Object.entries(node).map(([key, value]) => [key, resolve(value, root, open)]));
}

function pointed(reference: string, root: unknown): unknown {
  const keys = reference
    .slice(2)
    .split('/')
    .map((key) => decodeURIComponent(key).replaceAll('~1', '/').replaceAll('~0', '~'));
  return keys.reduce<unknown>((value, key) => member(value, key), root);
}
