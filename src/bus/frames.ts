/** The AMQP 0-9-1 frames of a message and of an acknowledgement, written into a buffer. */

export interface MessageProperties {
  readonly contentType: string;
  /** Made by `encodeHeaders`. */
  readonly headers?: Buffer | undefined;
  readonly correlationId?: string | undefined;
  readonly replyTo?: string | undefined;
  readonly userId?: string | undefined;
}

export interface Message {
  readonly exchange: string;
  readonly routingKey: string;
  /** The broker returns it where it fits no queue. */
  readonly mandatory?: boolean;
  readonly properties: MessageProperties;
  readonly body: string;
}

const methodFrame = 1;
const headerFrame = 2;
const bodyFrame = 3;
const frameEnd = 0xce;
/** Type, channel, size; and the end. */
const frameHeadBytes = 7;
export const frameOverheadBytes = frameHeadBytes + 1;

const basicClass = 60;
const publishMethod = 40;
const ackMethod = 80;

const flags = {
  contentType: 1 << 15,
  headers: 1 << 13,
  correlationId: 1 << 10,
  replyTo: 1 << 9,
  userId: 1 << 4,
} as const;

const maxShortBytes = 255;
/** Of both frames before the body: everything but the texts. */
const fixedBytes = 64;
export const ackBytes = 21;

/** How much room a message needs at most; a character has at most three bytes in UTF-8. */
export function messageRoom(message: Message, bodyBytes: number, maxBodyFrameBytes: number): number {
  const { contentType, headers, correlationId = '', replyTo = '', userId = '' } = message.properties;
  const characters =
    message.exchange.length +
    message.routingKey.length +
    contentType.length +
    correlationId.length +
    replyTo.length +
    userId.length;
  const frames = Math.ceil(bodyBytes / maxBodyFrameBytes);
  return fixedBytes + 3 * characters + (headers?.length ?? 0) + bodyBytes + frames * frameOverheadBytes;
}

/**
 * @param at - where to write; there is `messageRoom`
 * @returns where it ends
 * @throws TypeError where a text has more bytes than its field
 */
export function writeMessage(
  to: Buffer,
  at: number,
  channel: number,
  message: Message,
  bodyBytes: number,
  maxBodyFrameBytes: number,
): number {
  const { properties, body } = message;
  let end = writeHead(to, at, methodFrame, channel);
  end = to.writeUInt16BE(basicClass, end);
  end = to.writeUInt16BE(publishMethod, end);
  end = to.writeUInt16BE(0, end);
  end = writeShort(to, end, message.exchange);
  end = writeShort(to, end, message.routingKey);
  end = to.writeUInt8(message.mandatory === true ? 1 : 0, end);
  const header = closeFrame(to, at, end);

  end = writeHead(to, header, headerFrame, channel);
  end = to.writeUInt16BE(basicClass, end);
  end = to.writeUInt16BE(0, end);
  end = to.writeUInt32BE(0, end);
  end = to.writeUInt32BE(bodyBytes, end);
  const flagsAt = end;
  let present: number = flags.contentType;
  end = writeShort(to, end + 2, properties.contentType);
  if (properties.headers !== undefined) {
    present |= flags.headers;
    end += properties.headers.copy(to, end);
  }
  if (properties.correlationId !== undefined) {
    present |= flags.correlationId;
    end = writeShort(to, end, properties.correlationId);
  }
  if (properties.replyTo !== undefined) {
    present |= flags.replyTo;
    end = writeShort(to, end, properties.replyTo);
  }
  if (properties.userId !== undefined) {
    present |= flags.userId;
    end = writeShort(to, end, properties.userId);
  }
  to.writeUInt16BE(present, flagsAt);
  end = closeFrame(to, header, end);
  return writeBody(to, end, channel, body, bodyBytes, maxBodyFrameBytes);
}

/** Acknowledges everything up to the delivery tag. */
export function writeAck(to: Buffer, at: number, channel: number, deliveryTag: number): number {
  let end = writeHead(to, at, methodFrame, channel);
  end = to.writeUInt16BE(basicClass, end);
  end = to.writeUInt16BE(ackMethod, end);
  end = to.writeBigUInt64BE(BigInt(deliveryTag), end);
  end = to.writeUInt8(1, end);
  return closeFrame(to, at, end);
}

/** A table of texts, as `headers` takes it; made once for what many messages carry. */
export function encodeHeaders(headers: Readonly<Record<string, string>>): Buffer {
  const size = Buffer.alloc(4);
  const entries = Object.entries(headers).map(([name, value]) => {
    const key = Buffer.from(name);
    const text = Buffer.from(value);
    const head = Buffer.alloc(5);
    head.write('S');
    head.writeUInt32BE(text.length, 1);
    return Buffer.concat([Buffer.of(key.length), key, head, text]);
  });
  const table = Buffer.concat([size, ...entries]);
  table.writeUInt32BE(table.length - size.length);
  return table;
}

function writeBody(
  to: Buffer,
  at: number,
  channel: number,
  body: string,
  bodyBytes: number,
  maxFrameBytes: number,
): number {
  if (bodyBytes === 0) return at;
  if (bodyBytes <= maxFrameBytes) {
    const begin = writeHead(to, at, bodyFrame, channel);
    return closeFrame(to, at, begin + to.write(body, begin));
  }
  const bytes = Buffer.from(body);
  let end = at;
  for (let offset = 0; offset < bytes.length; offset += maxFrameBytes) {
    const begin = writeHead(to, end, bodyFrame, channel);
    end = closeFrame(to, end, begin + bytes.copy(to, begin, offset, offset + maxFrameBytes));
  }
  return end;
}

function writeHead(to: Buffer, at: number, type: number, channel: number): number {
  to.writeUInt8(type, at);
  to.writeUInt16BE(channel, at + 1);
  return at + frameHeadBytes;
}

/** Puts in the size that the frame has come to, and its end. */
function closeFrame(to: Buffer, at: number, end: number): number {
  to.writeUInt32BE(end - at - frameHeadBytes, at + 3);
  return to.writeUInt8(frameEnd, end);
}

function writeShort(to: Buffer, at: number, text: string): number {
  const bytes = text === '' ? 0 : to.write(text, at + 1);
  if (bytes > maxShortBytes) {
    throw new TypeError(
      `${bytes} bytes do not fit a field of AMQP, which has ${maxShortBytes}: ${text.slice(0, 100)}`,
    );
  }
  to.writeUInt8(bytes, at);
  return at + 1 + bytes;
}
