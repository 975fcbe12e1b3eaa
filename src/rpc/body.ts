/** From the bytes of a message to JSON, with every bound checked before anything is built. */
import { HostbusError } from '../../schemas/errors.ts';

/** Nesting of arrays and objects that a request may have. */
const maxDepth = 64;

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: false });

const quote = 0x22;
const backslash = 0x5c;
const openBracket = 0x5b;
const closeBracket = 0x5d;
const openBrace = 0x7b;
const closeBrace = 0x7d;

/**
 * @param body - the message's body
 * @param limitBytes - the largest body that is accepted
 * @returns whatever JSON value it holds
 * @throws HostbusError RequestTooLarge or ParseError
 */
export function parseBody(body: Buffer, limitBytes: number): unknown {
  if (body.length > limitBytes) {
    throw new HostbusError(
      'RequestTooLarge',
      `The request has ${body.length} bytes; ${limitBytes} are allowed`,
      {
        limit: limitBytes,
        size: body.length,
      },
    );
  }
  // A body has to have two bytes a level: short ones need no look.
  if (body.length > 2 * maxDepth && isTooDeep(body)) {
    throw new HostbusError('ParseError', `The request is nested deeper than ${maxDepth} levels`);
  }
  let text: string;
  try {
    text = decoder.decode(body);
  } catch {
    throw new HostbusError('ParseError', 'The request is not valid UTF-8');
  }
  try {
    return JSON.parse(text);
  } catch (error) {
    // Only where, never what: the text of V8's message quotes the body.
    const position = error instanceof Error ? /at position (\d+)/.exec(error.message)?.[1] : undefined;
    throw new HostbusError(
      'ParseError',
      position === undefined
        ? 'The request is not valid JSON'
        : `The request is not valid JSON (at character ${position})`,
    );
  }
}

function isTooDeep(body: Buffer): boolean {
  let depth = 0;
  let inString = false;
  for (let i = 0; i < body.length; i += 1) {
    const byte = body[i];
    if (inString) {
      if (byte === backslash) i += 1;
      else if (byte === quote) inString = false;
    } else if (byte === quote) {
      inString = true;
    } else if (byte === openBrace || byte === openBracket) {
      depth += 1;
      if (depth > maxDepth) return true;
    } else if (byte === closeBrace || byte === closeBracket) {
      depth -= 1;
    }
  }
  return false;
}
