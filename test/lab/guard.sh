#!/bin/sh
# Takes a lab down whose owner has died, however it died: guard.sh LAB NODE MAIN
#
# Standard input is a pipe that only the owner holds open. A line `release` on it means that the owner has tidied up
# itself. End of file without one means that it is dead.
word=
read -r word
[ "$word" = release ] && exit 0
exec "$2" "$3" down --name "$1" </dev/null >/dev/null 2>&1
