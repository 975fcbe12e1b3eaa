/**
 * Writes what is generated from the declarations: `node schemas/generate.ts`. A test holds the committed files to it.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { manPages } from '../packaging/man/man-pages.ts';
import { exampleConfig } from '../src/daemon/example-config.ts';
import { version } from '../src/lib/version.ts';
import { asyncApiDocument } from './asyncapi.ts';
import { Config } from './config.ts';
import { errorTable } from './errors.ts';
import { openRpcDocument } from './openrpc.ts';
import { verbs } from './verbs.ts';

/** Every generated file and its content, by path from the repository's root. */
export function generatedFiles(): Record<string, string> {
  return {
    'schemas/openrpc.json': json(openRpcDocument(verbs, version)),
    'schemas/asyncapi.json': json(asyncApiDocument(version)),
    'schemas/config.json': json(Config),
    'packaging/hostbusd.toml': exampleConfig(),
    ...manPages(),
    'docs/protocol.md': withErrorTable(readFileSync(new URL('../docs/protocol.md', import.meta.url), 'utf8')),
  };
}

/** The document with its table of errors made anew. */
function withErrorTable(document: string): string {
  const rows = Object.entries(errorTable).map(
    ([name, { code, when, data }]) => `| ${code} | ${name} | ${when} | ${data} |`,
  );
  const table = ['| code | name | when | `data` |', '| --- | --- | --- | --- |', ...rows].join('\n');
  return document.replace(/(<!-- errors.*-->\n)[\s\S]*?(<!-- \/errors -->)/, `$1${table}\n$2`);
}

function json(value: unknown): string {
  return `${JSON.stringify(value, undefined, 2)}\n`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const [path, content] of Object.entries(generatedFiles())) {
    writeFileSync(new URL(`../${path}`, import.meta.url), content);
  }
}
