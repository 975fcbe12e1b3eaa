#!/bin/sh
# Ends a private broker whose launcher has died, however it died.
#
# Standard input is a pipe that only the launcher holds open. Lines on it:
#   watch PID START_TICKS   from now on this process is the node
#   idle                    no node runs at the moment
#   release                 the launcher has tidied up itself: nothing is left to do
# End of file without `release` means that the launcher is dead: the node is killed with SIGKILL (only while
# PID still has that start time) and the directory in $1, if any, is removed.
dir=$1
pid=
start_ticks=

start_ticks_of() {
  stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
  # The command may hold blanks: count from its closing bracket, where the start time is the 20th word.
  set -- ${stat##*) }
  shift 19
  printf '%s' "$1"
}

while read -r word first second; do
  case $word in
    watch) pid=$first start_ticks=$second ;;
    idle) pid= ;;
    release) exit 0 ;;
  esac
done

tries=0
while [ -n "$pid" ] && [ "$(start_ticks_of "$pid")" = "$start_ticks" ] && [ "$tries" -lt 200 ]; do
  kill -KILL "$pid" 2>/dev/null
  tries=$((tries + 1))
  sleep 0.05
done
# The node's own children end when they see it gone; one may write a last file meanwhile.
if [ -n "$dir" ]; then
  rm -rf -- "$dir" || { sleep 0.5; rm -rf -- "$dir"; }
fi
