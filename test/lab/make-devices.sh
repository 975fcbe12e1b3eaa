#!/bin/sh
# Makes the device files of a lab host in the directory $1. Each host gets a copy: one process there instead of a hundred.
set -eu
cd "$1"
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
