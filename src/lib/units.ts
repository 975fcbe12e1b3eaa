/** Sizes and times as people write and read them. */

const powers = ['', 'K', 'M', 'G', 'T', 'P', 'E'] as const;

/** `1.2 GiB`: IEC units, at most one decimal. */
export function formatBytes(sizeBytes: number): string {
  if (!Number.isFinite(sizeBytes)) return '?';
  let value = Math.abs(sizeBytes);
  let power = 0;
  // 1023.95 and more would be shown as 1024 of the smaller unit
  while (value >= (power === 0 ? 1024 : 1023.95) && power < powers.length - 1) {
    value /= 1024;
    power += 1;
  }
  const text = String(power === 0 ? Math.round(value) : Math.round(value * 10) / 10);
  return `${sizeBytes < 0 ? '-' : ''}${text} ${powers[power]}${power === 0 ? 'B' : 'iB'}`;
}

const sizePattern = /^(\d+(?:\.\d+)?)\s*(?:([KMGTPE])(iB|B)?|B)?$/i;

/**
 * Bytes from `10G` or `10GiB` (1024³ each), `10GB` (1000³), `1.5T`, `512`.
 * @returns undefined when it is not a size, or not a whole number of bytes that can be represented exactly
 */
export function parseSize(text: string): number | undefined {
  const match = sizePattern.exec(text.trim());
  if (!match) return undefined;
  const [, digits = '', letter = '', suffix = ''] = match;
  const base = suffix.toLowerCase() === 'b' ? 1000 : 1024;
  const exponent = powers.indexOf(letter.toUpperCase() as (typeof powers)[number]);
  const sizeBytes = Number(digits) * base ** exponent;
  return Number.isSafeInteger(sizeBytes) ? sizeBytes : undefined;
}

/** `42 s`, `7:05`, `3:07:05`, `2 d 3 h`. */
export function formatSeconds(seconds: number): string {
  if (!Number.isFinite(seconds)) return '?';
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  const twoDigits = (value: number) => String(value).padStart(2, '0');
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor((whole % 3600) / 60)];
  if (hours >= 48) return `${Math.floor(hours / 24)} d ${hours % 24} h`;
  if (hours > 0) return `${hours}:${twoDigits(minutes)}:${twoDigits(whole % 60)}`;
  return `${minutes}:${twoDigits(whole % 60)}`;
}

/** A count in its unit: bytes as sizes, anything else as it is. */
export function formatQuantity(value: number, unit: string): string {
  return unit === 'bytes' ? formatBytes(value) : `${formatCount(value)} ${unit}`;
}

/** A number as it is; JSON can carry ones that are too large to be one (`1e400`). */
export function formatCount(value: number): string {
  return Number.isFinite(value) ? String(value) : '?';
}
