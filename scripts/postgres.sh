#!/bin/sh
# A throw-away PostgreSQL for tests: a fresh cluster in a temporary directory, on a unix socket and a random loopback port.
#   scripts/postgres.sh [start]      starts one and prints DATABASE_URL=... and PGDIR=...
#   scripts/postgres.sh restart DIR  restarts it at the same address, as a crash would (nothing is shut down in order)
#   scripts/postgres.sh halt DIR     stops it the same way; resume DIR starts it again
#   scripts/postgres.sh stop DIR     ends it and removes the directory
set -eu

bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)
if [ -z "$bin" ]; then
	echo 'PostgreSQL is not installed; install it with: apt-get install -y --no-install-recommends postgresql' >&2
	exit 69
fi

# PostgreSQL refuses to run as root: there it runs as the user its package made.
as_owner() {
	if [ "$(id -u)" -eq 0 ]; then
		(cd / && exec setpriv --reuid=postgres --regid=postgres --init-groups -- "$@")
	else
		"$@"
	fi
}

free_port() {
	# The kernel never hands out ports below its ephemeral range by itself, so a free one there stays free until it is bound.
	while :; do
		port=$((15000 + $(od -An -N2 -tu2 /dev/urandom) % 15000))
		printf '%04X\n' "$port" | { read -r hex; ! grep -qi ":$hex " /proc/net/tcp; } && break
	done
	echo "$port"
}

start_server() {
	as_owner "$bin/pg_ctl" -D "$1/data" -l "$1/log" -w -t 60 start >/dev/null || { tail -n 20 "$1/log" >&2; exit 1; }
}

crash_server() {
	as_owner "$bin/pg_ctl" -D "$1/data" -m immediate -w -t 60 stop >/dev/null
}

assert_cluster() {
	[ -f "$1/data/PG_VERSION" ] || { echo "no throw-away cluster in \`$1\`" >&2; exit 2; }
}

case "${1:-start}" in
start)
	dir=$(mktemp -d "${TMPDIR:-/tmp}/writ-pg.XXXXXX")
	[ "$(id -u)" -ne 0 ] || chown postgres: "$dir"
	as_owner "$bin/initdb" -D "$dir/data" -U writ -A trust -E UTF8 --locale=C.UTF-8 >"$dir/initdb.log" 2>&1 || { cat "$dir/initdb.log" >&2; exit 1; }
	port=$(free_port)
	cat >>"$dir/data/postgresql.conf" <<CONF
listen_addresses = '127.0.0.1'
port = $port
unix_socket_directories = '$dir'
fsync = on
synchronous_commit = on
shared_buffers = 64MB
max_connections = 60
CONF
	start_server "$dir"
	as_owner "$bin/createdb" -h "$dir" -p "$port" -U writ writ
	echo "DATABASE_URL=postgres://writ@127.0.0.1:$port/writ"
	echo "PGDIR=$dir"
	;;
restart)
	assert_cluster "${2:?which directory?}"
	crash_server "$2"
	start_server "$2"
	;;
halt)
	assert_cluster "${2:?which directory?}"
	crash_server "$2"
	;;
resume)
	assert_cluster "${2:?which directory?}"
	start_server "$2"
	;;
stop)
	assert_cluster "${2:?which directory?}"
	as_owner "$bin/pg_ctl" -D "$2/data" -m fast -w -t 60 stop >/dev/null || true
	rm -rf "$2"
	;;
*)
	echo "usage: $0 [start | restart DIR | halt DIR | resume DIR | stop DIR]" >&2
	exit 2
	;;
esac
