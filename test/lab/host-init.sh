#!/bin/sh
# PID 1 of a lab host, in network, mount, UTS, IPC and PID namespaces of its own. When it dies the kernel kills every
# process in here and drops every mount. What outlives it are loop devices, which take-down.ts finds again.
#
# From the environment:
#   LAB_DIR       the lab's directory; hN/disk.img in it is the host's disk, an XFS
#   LAB_HOST      number of this host, from 1;  LAB_HOSTS: how many there may be
#   LAB_SUBNET    the first three numbers of the addresses
#   LAB_GEO_REPLICATION  yes: with gsyncd, sshd and the key in LAB_DIR/ssh by which all hosts let each other in
#   LAB_CHECKOUT  this project;  LAB_SHARED: directories of the machine that the host sees, with ":" between them
#
# The host's root is an overlay over the machine's: it has all programs of the machine and keeps its own changes on its
# disk, over power cuts too. Its /dev, /run and /tmp are its own.
set -eu
own=$LAB_DIR/h$LAB_HOST
store=$own/store
root=$own/root

# /proc is still the outer one: PID and start time by which the outside knows this host.
read -r stat </proc/self/stat
pid=${stat%% *}
set -- ${stat##*) }
shift 19
echo "$pid $1" >"$own/init.new"
mv "$own/init.new" "$own/init"
# Kept open, since LAB_DIR is out of sight at the end.
exec 8>"$own/boot"

# Nothing is mounted before the launcher has seen the line above, has put eth0 in here and said go. At end of file it is
# dead: then so are we.
read -r go
[ "$go" = go ]
exec </dev/null

# XFS, since snapshots of bricks are reflinks. Its loop device frees itself when the last mount is gone.
mkdir -p "$root" "$store"
mount -t xfs -o loop,noatime "$own/disk.img" "$store"
mkdir -p "$store/upper" "$store/work" "$store/disks"
mount -t overlay -o "lowerdir=/,upperdir=$store/upper,workdir=$store/work" overlay "$root"
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mkdir -p "$root/run/lock" "$root/run/gluster" "$root/run/sshd"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
cp -a "$LAB_DIR/dev/." "$root/dev/"
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts "$root/dev/pts"
mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
mkdir -p "$root/var/lib/hostbus-lab/disks" "$root/var/lib/hostbus-lab/lib"
mount --bind "$store/disks" "$root/var/lib/hostbus-lab/disks"
mount -o bind,ro "$LAB_DIR/lib" "$root/var/lib/hostbus-lab/lib"
# At the same paths as outside: node and the sources find each other wherever they are.
saved_ifs=$IFS
IFS=:
for path in $LAB_SHARED; do
  mkdir -p "$root$path"
  mount -o bind,ro "$path" "$root$path"
done
IFS=$saved_ifs

# First boot: the machine's own Gluster and its disks are none of this host's. Marked as done only at the end.
if ! [ -e "$store/prepared" ]; then
  find "$root/var/lib/glusterd" -mindepth 1 -maxdepth 1 ! -name hooks ! -name groups -exec rm -rf {} +
  rm -rf "$root/var/log/glusterfs"
  mkdir -p "$root/var/log/glusterfs" "$root/bricks"
  # By default a lost link hangs callers for minutes.
  sed -i 's/option ping-timeout .*/option ping-timeout 5/' "$root/etc/glusterfs/glusterd.vol"
  # glusterd asks gsyncd, a Python program, a dozen questions before it serves anybody: seconds.
  [ "$LAB_GEO_REPLICATION" = yes ] || rm -f "$root"/usr/lib/*/glusterfs/gsyncd "$root"/usr/libexec/glusterfs/gsyncd
  if [ "$LAB_GEO_REPLICATION" = yes ]; then
    rm -rf "$root"/etc/ssh/ssh_host_* "$root/root/.ssh"
    ssh-keygen -q -t ed25519 -N '' -f "$root/etc/ssh/ssh_host_ed25519_key"
    mkdir -m 700 "$root/root/.ssh"
    cp "$LAB_DIR/ssh/id_ed25519" "$LAB_DIR/ssh/id_ed25519.pub" "$root/root/.ssh/"
    cp "$LAB_DIR/ssh/id_ed25519.pub" "$root/root/.ssh/authorized_keys"
    echo 'StrictHostKeyChecking accept-new' >"$root/root/.ssh/config"
    chmod 600 "$root"/root/.ssh/*
    # gluster makes those that are missing, of a kind that takes seconds.
    mkdir -p "$root/var/lib/glusterd/geo-replication"
    for key in secret tar_ssh; do
      ssh-keygen -q -t ed25519 -N '' -f "$root/var/lib/glusterd/geo-replication/$key.pem"
    done
    # How often workers look for changes, and how long one that failed stays down: neither is an option.
    for sources in "$root"/usr/lib/*/glusterfs/python/syncdaemon "$root"/usr/libexec/glusterfs/python/syncdaemon; do
      [ -d "$sources" ] || continue
      sed -i 's/^CHANGELOG_ROLLOVER_TIME = 15/CHANGELOG_ROLLOVER_TIME = 2/' "$sources/primary.py"
      sed -i 's/time\.sleep(10)/time.sleep(1)/' "$sources/monitor.py"
    done
  fi
  : >"$root/etc/fstab"
  echo "h$LAB_HOST" >"$root/etc/hostname"
  for name in lvs lvcreate lvremove lvchange lab-lv; do
    ln -sfn "$LAB_CHECKOUT/test/lab/stand-ins/lvm.sh" "$root/usr/sbin/$name"
  done
  # A power cut may lose what is not flushed.
  sync -f "$store"
  : >"$store/prepared"
fi

{
  echo '127.0.0.1 localhost'
  number=1
  while [ "$number" -le "$LAB_HOSTS" ]; do
    echo "$LAB_SUBNET.$number h$number"
    number=$((number + 1))
  done
} >"$root/etc/hosts"
hostname "h$LAB_HOST"
ip link set lo up
ip address add "$LAB_SUBNET.$LAB_HOST/24" dev eth0
ip link set eth0 up

mkdir -p "$root/.old"
cd "$root"
pivot_root . .old
cd /
umount -l /.old

# As a machine does at boot; a disk that does not come up is no reason not to boot.
lab-lv activate || echo 'some logical volumes were not activated'
mount -a || echo 'not all of /etc/fstab was mounted'
[ "$LAB_GEO_REPLICATION" = no ] || /usr/sbin/sshd
echo ready >&8
exec 8>&-
# wait reaps whatever is left to us.
while :; do
  sleep 1000000 &
  wait $!
done
