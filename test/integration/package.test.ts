/**
 * The Debian package: built, installed by dpkg, used, configured again, removed and purged on a copy of this machine's root file
 * system, an overlay that only one process tree sees. And the unit, by systemd's own measure.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, execFile, spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { buildDeb } from '../../packaging/deb/build.ts';
import { startPrivateBroker } from '../../rabbitmq/private-broker.ts';
import { connect } from '../../src/client/client.ts';
import { version } from '../../src/lib/version.ts';
import { until } from '../lib/until.ts';

const project = fileURLToPath(new URL('../../', import.meta.url));
const unit = join(project, 'packaging/hostbusd.service');
const asRoot = process.getuid?.() === 0 ? {} : { skip: 'only root may install a package' };

/** Some hundred MB are written and read. */
const installLimitMs = 200_000;

/** What runs on the copy; a line `== NAME` goes before what belongs together. */
const visit = `
set -eu
say() { echo "== $1"; }
clean() { env -i PATH=/usr/bin:/bin "$@"; }
as_hostbus='setpriv --reuid hostbus --regid hostbus --init-groups env -i PATH=/usr/bin:/bin'
modes() { stat -c '%U:%G %a %n' /etc/hostbus /etc/hostbus/hostbusd.toml /etc/hostbus/hostbusd.env; }

dpkg -i /hostbus.deb >/dev/null
say modes; modes
say user; getent passwd hostbus
say host; grep ^HOSTBUS_HOST_ID= /etc/hostbus/hostbusd.env; uname -n
say versions; clean hostbus --version; clean hostbusd --version
say config; . /etc/hostbus/hostbusd.env
$as_hostbus HOSTBUS_HOST_ID="$HOSTBUS_HOST_ID" hostbusd --config /etc/hostbus/hostbusd.toml --print-config
say others; setpriv --reuid 65534 --regid 65534 --clear-groups cat /etc/hostbus/hostbusd.env 2>&1 || true
say unit; systemd-analyze verify /usr/lib/systemd/system/hostbusd.service 2>&1 || true
say pages; man -w hostbus; man -w hostbusd; man -w hostbusd.toml

echo '# changed' >>/etc/hostbus/hostbusd.toml
echo '# changed' >>/etc/hostbus/hostbusd.env
chmod 0600 /etc/hostbus/hostbusd.env
# As an upgrade does it; dpkg -i again would only unpack it all once more.
/var/lib/dpkg/info/hostbus.postinst configure VERSION
say upgraded; modes; tail -qn 1 /etc/hostbus/*

say daemon
$as_hostbus HOSTBUS_HOST_ID=h1 HOSTBUS_BROKER_URL="$BROKER" hostbusd --config /etc/hostbus/hostbusd.toml &
daemon=$!
read -r _
kill "$daemon"
wait "$daemon" || echo "ended with $?"

dpkg -r hostbus >/dev/null
say removed; ls /etc/hostbus; ls -d /usr/lib/hostbus /usr/bin/hostbus* 2>&1 || true
dpkg -P hostbus >/dev/null
say purged; ls -d /etc/hostbus 2>&1 || true; dpkg-query -W hostbus 2>&1 || true
`;

/** Mounts and processes are this one's own, and go with it. */
const onCopy = `
set -eu
mount -t tmpfs -o size=1g tmpfs "$STAGE"
mkdir "$STAGE/upper" "$STAGE/work" "$STAGE/root"
mount -t overlay -o "lowerdir=/,upperdir=$STAGE/upper,workdir=$STAGE/work" overlay "$STAGE/root"
mount -t proc proc "$STAGE/root/proc"
mount --rbind /dev "$STAGE/root/dev"
cp "$DEB" "$STAGE/root/hostbus.deb"
exec chroot "$STAGE/root" sh -c "$VISIT"
`;

function sections(output: string): Record<string, string> {
  const parts = output.split(/^== /m).slice(1);
  return Object.fromEntries(
    parts.map((part) => [part.split('\n')[0] ?? '', part.slice(part.indexOf('\n') + 1)]),
  );
}

test(
  'The package installs, serves, is configured again as by an upgrade, removed and purged',
  asRoot,
  async (t) => {
    const dir = await mkdtemp(join(tmpdir(), 'hostbus-package-'));
    let child: ChildProcess | undefined;
    await using broker = await startPrivateBroker();
    try {
      const dist = join(dir, 'dist');
      await promisify(execFile)(
        process.execPath,
        ['node_modules/.bin/tsc', '-p', 'tsconfig.build.json', '--outDir', dist],
        {
          cwd: project,
        },
      );
      const deb = buildDeb(dir, { dist, compression: 'none' });
      await mkdir(join(dir, 'stage'));
      const env = {
        PATH: process.env.PATH,
        STAGE: join(dir, 'stage'),
        DEB: deb,
        VISIT: visit.replace('VERSION', version),
        BROKER: broker.url,
      };
      child = execFile('unshare', ['-m', '-p', '-f', '--kill-child', 'sh', '-c', onCopy], {
        env,
        timeout: installLimitMs,
        maxBuffer: 1 << 24,
      });
      let [output, errors] = ['', ''];
      child.stdout?.on('data', (text: string) => {
        output += text;
      });
      child.stderr?.on('data', (text: string) => {
        errors += text;
      });
      const ended = new Promise<number | null>((resolve) => child?.on('close', resolve));
      let code: number | null | undefined;
      void ended.then((status) => {
        code = status;
      });
      await until(
        'the installed daemon is connected, or all has ended',
        () => {
          return code !== undefined || output.includes('connected to the broker');
        },
        installLimitMs,
      );
      if (code !== undefined && output === '' && /overlay|unshare|mount/.test(errors)) return t.skip(errors);
      assert.equal(code, undefined, errors + output);
      await using client = await connect(broker.url);
      assert.equal((await client.host('h1').call('getHostInfo', {})).version, version);
      child.stdin?.end('\n');
      assert.equal(await ended, 0, errors + output);

      const seen = sections(output);
      assert.equal(
        seen.modes,
        'root:hostbus 750 /etc/hostbus\nroot:hostbus 640 /etc/hostbus/hostbusd.toml\nroot:hostbus 640 /etc/hostbus/hostbusd.env\n',
      );
      assert.match(seen.user ?? '', /^hostbus:.*:\/nonexistent:\/usr\/sbin\/nologin$/m);
      const [, id = '', name = ''] = /^HOSTBUS_HOST_ID=(\S+)\n(\S+)\n$/.exec(seen.host ?? '') ?? [];
      assert.ok(id !== '' && name.toLowerCase().startsWith(id.split('-')[0] ?? ''), seen.host);
      assert.equal(seen.versions, `${version}\n${version}\n`);
      assert.match(seen.config ?? '', new RegExp(`^host_id = "${id}"$`, 'm'));
      assert.match(seen.others ?? '', /Permission denied/);
      assert.equal(seen.unit, '', 'systemd-analyze verify');
      assert.match(
        seen.pages ?? '',
        /man1\/hostbus\.1\.gz\n.*man8\/hostbusd\.8\.gz\n.*man5\/hostbusd\.toml\.5\.gz\n$/,
      );
      assert.match(
        seen.upgraded ?? '',
        /^root:hostbus 640 \S+toml\nroot:hostbus 600 \S+env\n# changed\n# changed\n$/m,
      );
      assert.match(seen.daemon ?? '', /hostbusd has stopped/);
      assert.doesNotMatch(seen.daemon ?? '', /ended with/);
      assert.match(seen.removed ?? '', /^hostbusd\.env\nhostbusd\.toml\n(ls: .*No such file.*\n)+$/);
      assert.match(seen.purged ?? '', /^ls: .*No such file.*\n.*no packages found matching hostbus\n$/);
    } finally {
      child?.kill('SIGKILL');
      await rm(dir, { recursive: true, force: true });
    }
  },
);

test('The unit is hardened: systemd calls its exposure 2.0 of 10 or less', async (t) => {
  // A threshold of 20 is 2.0.
  const security = ['security', '--offline=yes', '--threshold=20', '--no-pager'];
  const { status, stdout, stderr, error } = spawnSync('systemd-analyze', [...security, unit], {
    encoding: 'utf8',
  });
  if (error !== undefined) return t.skip(error.message);
  assert.equal(status, 0, stdout + stderr);
  const dir = await mkdtemp(join(tmpdir(), 'hostbus-unit-'));
  try {
    const soft = join(dir, 'hostbusd.service');
    await writeFile(
      soft,
      (await readFile(unit, 'utf8')).replace(/^(Protect|Capability|SystemCall).*$/gm, ''),
    );
    const loose = spawnSync('systemd-analyze', [...security, soft], { encoding: 'utf8' });
    assert.notEqual(loose.status, 0, 'a unit with less would not pass');
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
});
