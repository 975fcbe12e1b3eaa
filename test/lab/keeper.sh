#!/bin/sh
# PID 1 of a lab: keeper.sh LAB_DIR, in PID and mount namespaces of its own.
#
# All hosts run below it, and all mounts of the lab exist only in its mount namespace and theirs. So one SIGKILL of this
# process ends the lab: the kernel kills every process in here and drops every mount. What outlives it are loop
# devices and the bridge, which take-down.ts finds again.
set -eu
dir=$1

# /proc is still the outer one: this is the PID by which the outside knows us, and the start time that goes with it.
read -r stat </proc/self/stat
pid=${stat%% *}
set -- ${stat##*) }
shift 19
echo "$pid $1" >"$dir/keeper.new"
mv "$dir/keeper.new" "$dir/keeper"

# Nothing is mounted before the launcher has seen the line above. At end of file it is dead: then so are we.
read -r go
[ "$go" = go ]
exec </dev/null

# XFS, since snapshots of bricks are reflinks. Its loop device frees itself when the last mount is gone.
mkdir -p "$dir/pool"
mount -t xfs -o loop,noatime "$dir/pool.img" "$dir/pool"

# Copied into the /dev of each host: one process there instead of a hundred.
mkdir -p "$dir/pool/dev"
cd "$dir/pool/dev"
mknod -m 666 null c 1 3
mknod -m 666 zero c 1 5
mknod -m 666 full c 1 7
mknod -m 666 random c 1 8
mknod -m 666 urandom c 1 9
mknod -m 666 tty c 5 0
mknod -m 666 fuse c 10 229
mknod -m 660 loop-control c 10 237
number=0
while [ "$number" -lt 128 ]; do
  mknod -m 660 "loop$number" b 7 "$number"
  number=$((number + 1))
done
ln -s /proc/self/fd fd
ln -s fd/0 stdin
ln -s fd/1 stdout
ln -s fd/2 stderr
ln -s pts/ptmx ptmx
cd /

: >"$dir/keeper-ready"
# wait reaps whatever is left to us.
while :; do
  sleep 1000000 &
  wait $!
done
