#!/bin/sh
# Builds runsc, the gVisor runtime, from its Go module and prints where it is: .writ/gvisor/runsc. A moment when it is there already.
# Without it containers share the kernel of this machine, and everything else works.
set -eu
cd "$(dirname "$0")/.."
# Of the `go` branch, which holds what Bazel generates: the only one that Go alone can build.
version=v0.0.0-20260701204157-69c2d17aea96
target=$PWD/.writ/gvisor

if [ -x "$target/runsc" ] && [ "$(cat "$target/version" 2>/dev/null)" = "$version" ]; then
	echo "$target/runsc"
	exit 0
fi
if ! command -v go >/dev/null 2>&1; then
	echo 'gVisor is built with Go 1.26 or newer, which is not installed: see https://go.dev/dl' >&2
	exit 69
fi
mkdir -p "$target"
echo 'building runsc' >&2
GOBIN="$target" GOFLAGS=-trimpath GOTOOLCHAIN=local CGO_ENABLED=0 go install -ldflags='-s -w' "gvisor.dev/gvisor/runsc@$version" >&2
echo "$version" >"$target/version"
echo "$target/runsc"
