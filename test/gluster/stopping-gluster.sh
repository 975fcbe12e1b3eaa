#!/bin/sh
# The real gluster, which stops for ever before or after the command that the file beside it names, so that whoever waits for it can be
# killed at that point:   before snapshot create    or    after snapshot create
here=$(dirname "$0")
when='' what=''
[ -e "$here/stop-at" ] && read -r when what <"$here/stop-at"
case "$*" in *"$what"*) ;; *) when='' ;; esac
stop() { mv "$here/stop-at" "$here/stopped"; exec sleep 1000000; }
[ "$when" = before ] && stop
gluster "$@"
code=$?
[ "$when" = after ] && stop
exit "$code"
