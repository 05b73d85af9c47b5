#!/bin/sh
# `writ call TOOL [JSON]`: asks the host for a tool, from a shell script inside a sandbox. Prints what the tool returned, as JSON, or
# to standard error why it did not run, as JSON with `code`, `message` and perhaps `hint`; then the exit code is 3.
if [ "$1" != call ] || [ $# -lt 2 ] || [ $# -gt 3 ]; then
	echo 'usage: writ call TOOL [JSON]' >&2
	exit 2
fi
# One at a time: requests and replies share two pipes among all processes of the script.
exec 9>"$HOME/.writ-lock"
flock 9
if [ $# = 3 ]; then input=$3; else input='{}'; fi
printf '%s\0%s\0' "$2" "$input" >&4 || exit 2
IFS= read -r status <&5 && IFS= read -r reply <&5 || exit 2
if [ "$status" = reply ]; then
	printf '%s\n' "$reply"
else
	printf '%s\n' "$reply" >&2
	exit 3
fi
