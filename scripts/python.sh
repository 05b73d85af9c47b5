#!/bin/sh
# Makes .writ/python, the interpreter that Python queries run on inside the sandbox: a virtual environment with pinned pandas,
# numpy and pyarrow, and pytest. Run it again at any time: when nothing is missing it takes a moment. Without Python everything else works.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
target=${1:-"$root/.writ/python"}
stamp="$target/writ-packages"
# pandas 3 reads Parquet through pyarrow and no longer supports Python 3.10.
recent="pandas==3.1.1 numpy==2.4.6 pyarrow==26.0.1 pytest==9.2.0"
older="pandas==2.3.3 numpy==2.2.6 pyarrow==21.0.0 pytest==9.2.0"

say() { printf '%s\n' "$*" >&2; }

find_python() {
	for name in python3 python3.14 python3.13 python3.12 python3.11 python3.10 /usr/bin/python3; do
		if command -v "$name" >/dev/null 2>&1 && "$name" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
			"$name" -c 'import os, sys; print(os.path.realpath(sys.executable))'
			return
		fi
	done
	return 1
}

install_python() {
	if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
		say "installing python3 and python3-venv with apt-get"
		DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3 python3-venv >&2 && return
	fi
	say "Python 3.10 or newer with venv is missing; Python queries stay off. Install it with:"
	say "  sudo apt-get install python3 python3-venv"
	exit 1
}

packages_for() {
	if "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then echo "$recent"; else echo "$older"; fi
}

if [ -x "$target/bin/python" ] && [ -f "$stamp" ]; then
	wanted=$(packages_for "$target/bin/python" 2>/dev/null || true)
	[ -n "$wanted" ] && [ "$(cat "$stamp")" = "$wanted" ] && exit 0
fi

python=$(find_python) || {
	install_python
	python=$(find_python)
}
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then install_python; fi

wanted=$(packages_for "$python")
rm -rf "$target"
mkdir -p "$(dirname "$target")"
"$python" -m venv "$target"
# shellcheck disable=SC2086 -- a list of packages
if ! "$target/bin/python" -m pip install --quiet --disable-pip-version-check --only-binary :all: $wanted >&2; then
	rm -rf "$target"
	say "could not install: $wanted; Python queries stay off. When the package index can be reached, run:"
	say "  sh scripts/python.sh"
	exit 1
fi
printf '%s' "$wanted" >"$stamp"
say "python is ready: $target/bin/python"
