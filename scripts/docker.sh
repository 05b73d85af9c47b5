#!/bin/sh
# The runner image, and a throw-away container engine for tests: its own data, containers, socket and control groups.
#   scripts/docker.sh image [TAG]  builds the image of the runners for the engine at DOCKER_HOST, unless it has it; also as TAG
#   scripts/docker.sh start        starts an engine that has the image (also as RUNNER_IMAGE, if set) and prints DOCKER_HOST=... and
#                                  DOCKERDIR=...; needs root
#   scripts/docker.sh crash DIR    kills the engine, and only it; resume DIR starts it again at the same address
#   scripts/docker.sh stop DIR     ends it with all that runs in it, and removes the directory
set -eu
cd "$(dirname "$0")/.."
root=$PWD
kept=$root/.writ/docker

say() { printf '%s\n' "$*" >&2; }
node() { "$(scripts/node.sh)" "$@"; }

need() {
	command -v "$1" >/dev/null 2>&1 || { say "$1 is not installed; install it with: apt-get install -y --no-install-recommends $2"; exit 69; }
}

# The image is made of two parts: what `images/runner/rootfs.sh` unpacks, which is kept in .writ, and our runners.
build_image() {
	mkdir -p "$kept"
	base=$kept/base-$( (cat images/runner/packages images/runner/rootfs.sh; cat .writ/python/writ-packages 2>/dev/null || true; cat node_modules/@duckdb/*/package.json; node --version) | sha256sum | cut -c 1-20)
	if [ ! -d "$base" ]; then
		say 'making the root file system of the runners'
		rm -rf "$kept"/base-*
		images/runner/rootfs.sh "$base.new"
		mv "$base.new" "$base"
	fi
	stage=$kept/unfinished-$$
	cp -al "$base" "$stage" # a link to each file: nothing is written to those
	mkdir -p "$stage/runtime/app/src/sandbox"
	cp -r src/sandbox/runners "$stage/runtime/app/src/sandbox/"
	find "$stage/runtime/app/src" \( -name '*.test.ts' -o -name __pycache__ \) -prune -exec rm -rf {} +
	echo '{"type": "module", "imports": {"#*": "./src/*"}}' >"$stage/runtime/app/package.json"
	chmod -R a+rX,go-w "$stage/runtime/app/src"
	chmod a+x "$stage/runtime/app/src/sandbox/runners/writ.sh"
	say "importing $1"
	tar -c --owner=0 --group=0 --numeric-owner -C "$stage" . | docker import - "$1-unfinished" >/dev/null
	rm -rf "$stage"
	name=writ-image-$$
	runners=$(docker run --pull never --name "$name" --network none --entrypoint /usr/bin/sh "$1-unfinished" -c "$(node scripts/runner-image.ts prepare)")
	docker commit --change "LABEL dev.writ.runners=\"$runners\"" "$name" "$1" >/dev/null
	docker rm "$name" >/dev/null
	docker image rm --no-prune "$1-unfinished" >/dev/null
}

image() {
	need docker docker.io
	tag=$(node scripts/runner-image.ts name)
	docker image inspect "$tag" >/dev/null 2>&1 || build_image "$tag"
	[ -z "${1:-}" ] || docker tag "$tag" "$1"
	say "the runner image is $tag"
}

# gVisor enforces the same system call filter as the kernel would; it needs no KVM with this platform.
settings() {
	runsc=$root/.writ/gvisor/runsc
	[ -x "$runsc" ] || { echo '{}'; return; }
	printf '{"runtimes": {"runsc": {"path": "%s", "runtimeArgs": ["--platform=systrap", "--oci-seccomp", "--network=none"]}}}\n' "$runsc"
}

# Of the drivers that need no downloads, the best that works here.
run_engine() {
	dir=$1
	name=$(basename "$dir")
	for driver in $(cat "$dir/driver" 2>/dev/null || echo overlay2 vfs); do
		setsid dockerd --config-file "$dir/daemon.json" --data-root "$dir/data" --exec-root "$dir/exec" --pidfile "$dir/pid" \
			-H "unix://$dir/docker.sock" --iptables=false --ip6tables=false --bridge=none --cgroup-parent="/$name" \
			--containerd-namespace="$name" --containerd-plugins-namespace="$name-plugins" --storage-driver="$driver" >>"$dir/log" 2>&1 </dev/null &
		engine=$!
		tries=0
		while kill -0 $engine 2>/dev/null && [ $tries -lt 300 ]; do
			if docker -H "unix://$dir/docker.sock" version >/dev/null 2>&1; then
				echo "$driver" >"$dir/driver"
				return
			fi
			tries=$((tries + 1))
			sleep 0.1
		done
		kill $engine 2>/dev/null || true
		wait $engine 2>/dev/null || true
	done
	tail -n 20 "$dir/log" >&2
	return 1
}

# Every process of this engine has its directory on the command line.
members() {
	for process in /proc/[0-9]*; do
		if { tr '\0' ' ' <"$process/cmdline"; } 2>/dev/null | grep -qF "$1/"; then echo "${process#/proc/}"; fi
	done
}

assert_engine() { [ -f "$1/daemon.json" ] || { say "no throw-away engine in \`$1\`"; exit 2; }; }

stop_engine() {
	kill "$(cat "$1/pid" 2>/dev/null)" 2>/dev/null || true
	tries=0
	while [ -f "$1/pid" ] && kill -0 "$(cat "$1/pid")" 2>/dev/null && [ $tries -lt 200 ]; do tries=$((tries + 1)); sleep 0.1; done
	for pid in $(members "$1"); do [ "$pid" = $$ ] || kill -KILL "$pid" 2>/dev/null || true; done
	awk -v dir="$1/" 'index($2, dir) == 1 {print $2}' /proc/self/mounts | sort -r | while read -r mount; do umount -l "$mount" || true; done
	find /sys/fs/cgroup -depth -type d -path "*/$(basename "$1")*" -exec rmdir {} + 2>/dev/null || true
	rm -rf "$1"
}

case "${1:-}" in
image)
	image "${2:-}"
	;;
start)
	need dockerd docker.io
	need docker docker.io
	[ "$(id -u)" -eq 0 ] || { say 'starting an engine needs root'; exit 77; }
	dir=$(mktemp -d "${TMPDIR:-/tmp}/writ-docker.XXXXXX")
	settings >"$dir/daemon.json"
	run_engine "$dir" || { stop_engine "$dir"; exit 1; }
	DOCKER_HOST=unix://$dir/docker.sock scripts/docker.sh image "${RUNNER_IMAGE:-}" || { stop_engine "$dir"; exit 1; }
	echo "DOCKER_HOST=unix://$dir/docker.sock"
	echo "DOCKERDIR=$dir"
	;;
crash)
	assert_engine "${2:?which directory?}"
	kill -KILL "$(cat "$2/pid")"
	;;
resume)
	assert_engine "${2:?which directory?}"
	# Its helper dies with it, but is taken for alive where nobody reaps it.
	rm -f "$2/pid" "$2/exec/containerd/containerd.pid"
	run_engine "$2"
	;;
stop)
	assert_engine "${2:?which directory?}"
	stop_engine "$2"
	;;
*)
	say "usage: $0 image [TAG] | start | crash DIR | resume DIR | stop DIR"
	exit 2
	;;
esac
