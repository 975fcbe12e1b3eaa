#!/bin/sh
# Stand-in for the four programs of LVM that glusterd calls: lvs, lvcreate, lvremove, lvchange. Chosen by its name.
#
# Why not LVM: device-mapper has no namespaces. Volume groups of one lab host would show up in all others and on the
# machine itself, and many build machines have none at all. What it makes is real: a block device that holds the data of
# the moment of the snapshot, without copying it.
#
#   /var/lib/hostbus-lab/disks/NAME.img   the volume, a sparse file on a file system with reflinks
#   /var/lib/hostbus-lab/disks/NAME.lv    exists once the volume does: "POOL ORIGIN", "-" where there is none
#   /dev/lab/NAME                         link to its loop device while it is active
#
# lab-lv create NAME SIZE_MIB [thick], lab-lv activate (all of them, as at boot), lab-lv list: for the lab.
# `touch …/disks/fail-lvcreate` makes lvcreate fail as with a full thin pool.
set -u
disks=/var/lib/hostbus-lab/disks
group=lab
pool=thinpool
program=${0##*/}

fail() {
  echo "  $*" >&2
  exit 5
}

# Every call, for whoever wonders what glusterd wanted.
echo "$program $*" >>/var/log/lab-lvm.log

loop_of() { losetup -n -O NAME -j "$disks/$1.img" | tr -d ' ' | head -n 1; }

# Name of the volume behind /dev/loopN, /dev/lab/NAME, /dev/mapper/lab-NAME or lab/NAME; fails when there is none.
volume_of() {
  case $1 in
    /dev/loop*)
      file=$(cat "/sys/block/${1#/dev/}/loop/backing_file" 2>/dev/null) || return 1
      name=${file##*/}
      name=${name%.img}
      # Hosts have volumes of the same name: it must be the device of ours.
      [ "$(loop_of "$name" 2>/dev/null)" = "$1" ] || return 1
      ;;
    /dev/mapper/"$group"-*) name=$(printf '%s' "${1#/dev/mapper/"$group"-}" | sed 's/--/-/g') ;;
    /dev/"$group"/* | "$group"/*) name=${1##*/} ;;
    *) return 1 ;;
  esac
  [ -e "$disks/$name.lv" ] || return 1
  printf '%s' "$name"
}

need_volume() { volume_of "$1" || fail "Failed to find logical volume \"$1\""; }

activate() {
  loop=$(loop_of "$1")
  [ -n "$loop" ] || loop=$(losetup --find --show "$disks/$1.img") || return 1
  [ -b "$loop" ] || mknod -m 660 "$loop" b 7 "${loop#/dev/loop}"
  mkdir -p "/dev/$group"
  ln -sfn "$loop" "/dev/$group/$1"
}

deactivate() {
  loop=$(loop_of "$1")
  if [ -n "$loop" ]; then
    # losetup would put a mounted one off until later and call that success.
    grep -q "^$loop " /proc/mounts && return 1
    losetup -d "$loop" || return 1
  fi
  rm -f "/dev/$group/$1"
}

# The volume exists from the rename on.
register() {
  echo "$2 $3" >"$disks/$1.lv.new"
  mv "$disks/$1.lv.new" "$disks/$1.lv"
}

value_of() {
  read -r its_pool its_origin <"$disks/$1.lv"
  case $2 in
    vg_name | vgname) echo "$group" ;;
    lv_name) echo "$1" ;;
    pool_lv) echo "${its_pool#-}" ;;
    origin) echo "${its_origin#-}" ;;
    data_percent)
      [ "$its_pool" = - ] || stat -c '%b %B %s' "$disks/$1.img" | awk '{ printf "%.2f\n", 100 * $1 * $2 / $3 }'
      ;;
    lv_size) stat -c %s "$disks/$1.img" | awk '{ printf "%.2fm\n", $1 / 1048576 }' ;;
    *) return 1 ;;
  esac
}

list_fields() {
  separator=' ' fields='' device=''
  while [ $# -gt 0 ]; do
    case $1 in
      --noheading | --noheadings) ;;
      --version) echo '  stand-in of the hostbus lab, no LVM'; exit 0 ;;
      -o) fields=$2; shift ;;
      --separator) separator=$2; shift ;;
      -*) fail "Unknown option $1" ;;
      *) device=$1 ;;
    esac
    shift
  done
  volume=$(need_volume "$device") || exit
  line=''
  for field in $(echo "$fields" | tr , ' '); do
    value=$(value_of "$volume" "$field") || fail "Unrecognised field: $field"
    line="$line${line:+$separator}$value"
  done
  echo "  $line"
}

# Without freezing the file system: one that is killed while frozen stays so, with its device, until the machine is
# restarted. The reflink is of one moment of the device, its file system has a journal, and what was written before is
# flushed first. glusterd holds writes back meanwhile.
create_snapshot() {
  origin='' name=''
  while [ $# -gt 0 ]; do
    case $1 in
      # glusterd reads this to find out whether it may use the option.
      --help) echo '  lvcreate -s|--snapshot -n|--name String [ -k|--setactivationskip y|n ]'; exit 0 ;;
      -s | --snapshot) ;;
      -n | --name) name=${2##*/}; shift ;;
      -k | --setactivationskip) shift ;;
      -*) fail "Unknown option $1" ;;
      *) origin=$1 ;;
    esac
    shift
  done
  volume=$(need_volume "$origin") || exit
  [ "$(value_of "$volume" pool_lv)" != '' ] || fail 'Snapshot of a thick volume needs a size'
  [ -e "$disks/$name.lv" ] && fail "Logical Volume \"$name\" already exists in volume group \"$group\""
  [ -e "$disks/fail-lvcreate" ] && fail "Insufficient free space in thin pool $group/$pool"
  mounted=$(findmnt -rnfo TARGET -S "$(loop_of "$volume")")
  [ "$mounted" = '' ] || sync -f "$mounted" || fail "Failed to flush $mounted"
  cp --reflink=always "$disks/$volume.img" "$disks/$name.img" || fail "Failed to copy $volume"
  register "$name" "$pool" "$volume"
  activate "$name" || fail "Failed to activate $group/$name"
  echo "  Logical volume \"$name\" created."
}

remove_volume() {
  device=''
  for word; do case $word in -*) ;; *) device=$word ;; esac; done
  volume=$(need_volume "$device") || exit
  deactivate "$volume" || fail "Logical volume $group/$volume contains a filesystem in use."
  rm -f "$disks/$volume.lv" "$disks/$volume.img"
  echo "  Logical volume \"$volume\" successfully removed"
}

change_volume() {
  device='' action=activate
  for word; do
    case $word in
      -an) action=deactivate ;;
      -*) ;;
      *) device=$word ;;
    esac
  done
  volume=$(need_volume "$device") || exit
  "$action" "$volume" || fail "Failed to $action $group/$volume"
}

volumes() {
  for file in "$disks"/*.lv; do
    [ -e "$file" ] || continue
    file=${file##*/}
    echo "${file%.lv}"
  done
}

for_the_lab() {
  verb=$1
  shift
  case $verb in
    create)
      [ -e "$disks/$1.img" ] && fail "$1 exists already"
      truncate -s "$2M" "$disks/$1.img" || fail "Failed to make $1"
      if [ "${3-}" = thick ]; then register "$1" - -; else register "$1" "$pool" -; fi
      activate "$1" || fail "Failed to activate $1"
      ;;
    activate)
      status=0
      for volume in $(volumes); do activate "$volume" || status=5; done
      exit "$status"
      ;;
    list) for volume in $(volumes); do echo "$volume $(loop_of "$volume") $(cat "$disks/$volume.lv")"; done ;;
    *) fail "lab-lv knows no $verb" ;;
  esac
}

case $program in
  lvs) list_fields "$@" ;;
  lvcreate) create_snapshot "$@" ;;
  lvremove) remove_volume "$@" ;;
  lvchange) change_volume "$@" ;;
  lab-lv) for_the_lab "$@" ;;
  *) fail "$program is no program of LVM that the lab knows" ;;
esac
