#!/bin/sh
# A real program, by whose name this is called, which stops for ever before or after the command line that the file `stop-at` beside this
# one names, so that whoever waits for it can be killed at that point:   before snapshot create    or    after snapshot create
here=$(dirname "$0")
program=$(basename "$0")
PATH=${PATH#"$here":}
when='' what=''
[ -e "$here/stop-at" ] && read -r when what <"$here/stop-at"
case "$program $*" in *"$what"*) ;; *) when='' ;; esac
stop() {
  echo $$ >"$here/stopped.new"
  rm "$here/stop-at"
  mv "$here/stopped.new" "$here/stopped"
  exec sleep 1000000
}
[ "$when" = before ] && stop
[ "$when" = after ] || exec "$program" "$@"
"$program" "$@"
stop
