/** What consumers have noted: a line of JSON for each event, appended before it is acknowledged. */
import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import type { ConsumeMessage } from 'amqplib';

export interface Noted {
  hostId: string;
  bootId: string;
  /** Counts up by one per event of one boot. */
  sequence: number;
  redelivered: boolean;
  /** The consumer's process. */
  pid: number;
  /** In a stream: where the event stands. */
  offset?: number;
  /** How many events of this boot are missing right before this one. */
  missing?: number;
}

export function note(file: string, noted: Noted): void {
  appendFileSync(file, `${JSON.stringify(noted)}\n`);
}

/** A line that a SIGKILL cut short is left out: its event was not acknowledged. */
export function readNoted(file: string): Noted[] {
  if (!existsSync(file)) return [];
  const lines = readFileSync(file, 'utf8').split('\n').slice(0, -1);
  return lines.map((line) => JSON.parse(line) as Noted);
}

/** Reads what every event says of its origin. */
export function toNoted({ content, fields }: ConsumeMessage): Noted {
  const { bootid, sequence, source } = JSON.parse(content.toString()) as Record<string, string>;
  return {
    hostId: String(source).replace('/hosts/', ''),
    bootId: String(bootid),
    sequence: Number(sequence),
    redelivered: fields.redelivered,
    pid: process.pid,
  };
}
