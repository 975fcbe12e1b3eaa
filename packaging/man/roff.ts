/** Manual pages as man(7) has them. */

/** A text without marks of its own; `code` between backticks becomes bold. */
export function prose(text: string): string {
  const parts = text.replaceAll(/\s+/g, ' ').trim().split('`');
  return guarded(parts.map((part, at) => (at % 2 === 1 ? bold(part) : escaped(part))).join(''));
}

export function bold(text: string): string {
  return `\\fB${escaped(text)}\\fR`;
}

/** A paragraph below a tag. */
export function tagged(tag: string, text: string): string {
  return `.TP\n${guarded(bold(tag))}\n${prose(text)}`;
}

/** Lines as they are. */
export function example(lines: readonly string[]): string {
  return ['.PP', '.RS 4', '.EX', ...lines.map((line) => guarded(escaped(line))), '.EE', '.RE'].join('\n');
}

export function section(title: string, ...blocks: readonly string[]): string {
  return [`.SH ${title}`, ...blocks].join('\n');
}

export function subsection(title: string, ...blocks: readonly string[]): string {
  return [`.SS "${escaped(title).replaceAll('"', '\\(dq')}"`, ...blocks].join('\n');
}

export interface PageHead {
  readonly name: string;
  readonly manualSection: 1 | 5 | 8;
  readonly version: string;
  readonly summary: string;
}

export function page(
  { name, manualSection, version, summary }: PageHead,
  sections: readonly string[],
): string {
  return [
    '.\\" Generated from the declarations: npm run generate.',
    `.TH "${name.toUpperCase()}" "${manualSection}" "" "hostbus ${version}"`,
    section('NAME', `${escaped(name)} \\- ${escaped(summary)}`),
    ...sections,
    '',
  ].join('\n');
}

/** Characters that groff would take for a command, or print as another. */
function escaped(text: string): string {
  return text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replaceAll("'", '\\(aq')
    .replaceAll('`', '\\(ga')
    .replaceAll('^', '\\(ha')
    .replaceAll('~', '\\(ti')
    .replaceAll('…', '\\[u2026]')
    .replaceAll('→', '\\(->')
    .replaceAll('’', '\\(cq');
}

/** A line that begins with a dot would be a request. */
function guarded(line: string): string {
  return /^[.']/.test(line) ? `\\&${line}` : line;
}
