/** The OpenRPC document of a set of verbs, made from their declarations. */
import { type ErrorName, errorTable } from './errors.ts';
import type { Verb } from './verb.ts';

/** Errors that any verb can end with, whatever it declares. */
const commonErrors: readonly ErrorName[] = [
  'InvalidParams',
  'TaskIdInUse',
  'Overloaded',
  'NotAllowed',
  'Cancelled',
  'InternalError',
];

export const protocolVersion = '1.0';

/**
 * @param verbs - the verbs that are served
 * @param version - version of the software that serves them
 * @returns a plain JSON value, valid OpenRPC 1.3
 */
export function openRpcDocument(verbs: readonly Verb[], version: string): Record<string, unknown> {
  return {
    openrpc: '1.3.2',
    info: {
      title: 'hostbus',
      version,
      description: `What a host serves over the message bus: JSON-RPC 2.0 through the exchange hostbus.rpc. Wire contract ${protocolVersion}.`,
      license: { name: 'Apache-2.0' },
    },
    methods: verbs.map(methodOf),
    components: { errors: Object.fromEntries(errorNames().map((name) => [name, errorOf(name)])) },
  };
}

function methodOf(verb: Verb): Record<string, unknown> {
  const required = new Set(verb.params.required ?? []);
  const [summary = verb.doc] = verb.doc.split(/(?<=\.) /);
  return {
    name: verb.name,
    summary,
    description: verb.doc,
    paramStructure: 'either',
    params: Object.entries(verb.params.properties).map(([name, schema]) => ({
      name,
      ...('description' in schema ? { description: schema.description } : {}),
      required: required.has(name),
      schema,
    })),
    result: { name: 'result', schema: verb.result },
    errors: [...new Set([...verb.errors, ...commonErrors])].map((name) => ({
      $ref: `#/components/errors/${name}`,
    })),
    'x-hostbus': {
      access: verb.access,
      query: verb.query,
      cancellable: verb.cancellable,
      lane: verb.lane,
      example: verb.example,
    },
  };
}

function errorNames(): ErrorName[] {
  return Object.keys(errorTable) as ErrorName[];
}

function errorOf(name: ErrorName): Record<string, unknown> {
  const { code, when, data } = errorTable[name];
  return { code, message: when, data: { name, holds: data === '' ? '`name`' : `\`name\`, ${data}` } };
}
