/**
 * Makes the Debian package: `npm run package [-- DIRECTORY]`. What was built (`dist`), the packages of a production installation, and
 * the Node.js that package-lock.json pins. Needs dpkg-deb and no network.
 */
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { exampleConfig } from '../../src/daemon/example-config.ts';
import { version } from '../../src/lib/version.ts';

const project = fileURLToPath(new URL('../../', import.meta.url));
const architectures: Readonly<Record<string, string>> = { x64: 'amd64', arm64: 'arm64' };
const library = 'usr/lib/hostbus';

class Tree {
  readonly root: string;
  constructor(root: string) {
    this.root = root;
  }

  copy(from: string, to: string, mode = 0o644): void {
    this.#make(to);
    copyFileSync(join(project, from), this.path(to));
    chmodSync(this.path(to), mode);
  }

  copyFolder(from: string, to: string): void {
    this.#make(to);
    const isWanted = (path: string) =>
      !/\.(map|d\.[cm]?ts)$/.test(path) && !path.endsWith('/node_modules/.bin');
    cpSync(resolve(project, from), this.path(to), { recursive: true, filter: isWanted });
  }

  write(to: string, content: string | Buffer, mode = 0o644): void {
    this.#make(to);
    writeFileSync(this.path(to), content);
    chmodSync(this.path(to), mode);
  }

  path(to: string): string {
    return join(this.root, to);
  }

  #make(to: string): void {
    mkdirSync(dirname(this.path(to)), { recursive: true, mode: 0o755 });
  }
}

export interface DebOptions {
  /** What `tsc -p tsconfig.build.json` wrote. @default dist */
  readonly dist?: string;
  /** @default zstd: quick, and dpkg of Debian 12 reads it */
  readonly compression?: 'zstd' | 'none';
}

/** @returns the path of the package */
export function buildDeb(outputDirectory: string, options: DebOptions = {}): string {
  const { dist = join(project, 'dist'), compression = 'zstd' } = options;
  const architecture = architectures[process.arch];
  if (architecture === undefined) throw new Error(`there is no Debian architecture for ${process.arch}`);
  if (!existsSync(join(dist, 'src/bin/hostbusd.js')))
    throw new Error(`${dist} is missing: npm run build (npm run package does both)`);
  const root = mkdtempSync(join(tmpdir(), 'hostbus-deb-'));
  try {
    chmodSync(root, 0o755);
    const tree = new Tree(root);
    addProgram(tree, dist);
    addSystemFiles(tree);
    addControl(tree, architecture);
    const file = resolve(outputDirectory, `hostbus_${version}_${architecture}.deb`);
    mkdirSync(dirname(file), { recursive: true });
    execFileSync('dpkg-deb', ['--root-owner-group', `-Z${compression}`, '--build', root, file], {
      stdio: 'pipe',
    });
    return file;
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}

function addProgram(tree: Tree, dist: string): void {
  tree.copyFolder(dist, `${library}/dist`);
  tree.copy('package.json', `${library}/package.json`);
  tree.copy('schemas/openrpc.json', `${library}/schemas/openrpc.json`);
  for (const path of productionPackages()) tree.copyFolder(path, `${library}/${path}`);
  // Whatever the checkout's modes are.
  execFileSync('chmod', ['-R', 'u=rwX,go=rX', tree.path('usr')]);
  tree.copy('node_modules/node/bin/node', `${library}/bin/node`, 0o755);
  const wrapper = readFileSync(join(project, 'packaging/deb/run-with-node'), 'utf8');
  for (const program of ['hostbus', 'hostbusd'])
    tree.write(`usr/bin/${program}`, wrapper.replace('PROGRAM', program), 0o755);
}

/** Folders below node_modules that a production installation has. Optional ones of other platforms are not there. */
function productionPackages(): string[] {
  const lock = JSON.parse(readFileSync(join(project, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, { dev?: boolean; devOptional?: boolean }>;
  };
  return Object.entries(lock.packages)
    .filter(([path, { dev = false }]) => path !== '' && !dev && existsSync(join(project, path)))
    .map(([path]) => path);
}

function addSystemFiles(tree: Tree): void {
  tree.copy('packaging/hostbusd.service', 'usr/lib/systemd/system/hostbusd.service');
  tree.copy('packaging/deb/hostbus.sysusers', 'usr/lib/sysusers.d/hostbus.conf');
  // The ID of each host is its own, and stands in hostbusd.env.
  const config = exampleConfig().replace(
    /^host_id = /m,
    '# Set in hostbusd.env by the package.\n# host_id = ',
  );
  tree.write('etc/hostbus/hostbusd.toml', config, 0o640);
  const man = (name: string) => gzipSync(readFileSync(join(project, 'packaging/man', name)), { level: 9 });
  for (const name of ['hostbus.1', 'hostbusd.8', 'hostbusd.toml.5'])
    tree.write(`usr/share/man/man${name.at(-1)}/${name}.gz`, man(name));
  for (const [shell, path] of [
    ['bash', 'usr/share/bash-completion/completions/hostbus'],
    ['zsh', 'usr/share/zsh/vendor-completions/_hostbus'],
  ] as const) {
    const program = tree.path(`${library}/dist/src/bin/hostbus.js`);
    tree.write(path, execFileSync(process.execPath, [program, 'completion', shell]));
  }
  const documents = 'usr/share/doc/hostbus';
  tree.copy('packaging/deb/copyright', `${documents}/copyright`);
  tree.write(
    `${documents}/changelog.gz`,
    gzipSync(readFileSync(join(project, 'CHANGELOG.md')), { level: 9 }),
  );
  tree.copyFolder('docs', documents);
}

function addControl(tree: Tree, architecture: string): void {
  const { description } = JSON.parse(readFileSync(join(project, 'package.json'), 'utf8')) as {
    description: string;
  };
  const installedKib = execFileSync('du', ['-sk', '--apparent-size', tree.root], { encoding: 'utf8' });
  const control = [
    'Package: hostbus',
    `Version: ${version}`,
    `Architecture: ${architecture}`,
    'Maintainer: the hostbus authors <hostbus@localhost>',
    `Installed-Size: ${Number.parseInt(installedKib, 10)}`,
    'Section: admin',
    'Priority: optional',
    // The C++ library: of the bundled Node.js. util-linux: qemu-img runs within bounds.
    'Depends: libc6 (>= 2.28), libstdc++6, util-linux',
    'Recommends: qemu-utils, systemd',
    'Suggests: rabbitmq-server, glusterfs-server',
    `Description: ${description}`,
    ' hostbusd serves the storage of a host, and Gluster where it is there, to',
    ' callers on a RabbitMQ broker. hostbus is its command line.',
    ' .',
    ' The package brings the Node.js that it was tested with.',
    '',
  ].join('\n');
  tree.write('DEBIAN/control', control);
  tree.write('DEBIAN/conffiles', '/etc/hostbus/hostbusd.toml\n');
  for (const script of ['postinst', 'prerm', 'postrm'])
    tree.copy(`packaging/deb/${script}`, `DEBIAN/${script}`, 0o755);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const file = buildDeb(process.argv[2] ?? join(project, 'build'));
  process.stdout.write(`${file}\nInstall it: apt install ${file}\n`);
}
