#!/bin/sh
# Makes the part of the runner image that seldom changes, as a directory: rootfs.sh DIR. Debian packages are fetched and verified by
# apt and only unpacked: it needs no root. Beside them are Node, DuckDB and the Python
# packages that `scripts/python.sh` pins.
set -eu
cd "$(dirname "$0")/../.."
target=$1
rm -rf "$target"
mkdir -p "$target/usr/bin" "$target/usr/lib" "$target/usr/lib64" "$target/usr/sbin" "$target/runtime/app/node_modules"

# Debian's own layout: what still names /lib or /bin lands in /usr.
for name in bin sbin lib lib64; do ln -s "usr/$name" "$target/$name"; done

archives=$target/archives
mkdir -p "$archives/partial"
: >"$target/status"
# With an empty status file apt believes that nothing is installed, and fetches all that the packages depend on.
# shellcheck disable=SC2046 -- a list of packages
apt-get -y -qq -o Dir::State::status="$target/status" -o Dir::Cache::archives="$archives" -o Debug::NoLocking=1 \
	-o APT::Sandbox::User="$(id -un)" --no-install-recommends --download-only install $(cat images/runner/packages) >&2 || {
	echo 'the Debian packages of the runner image could not be fetched; run `apt-get update`, and try again' >&2
	exit 69
}
for package in "$archives"/*.deb; do
	dpkg-deb --fsys-tarfile "$package" | tar -x -C "$target" --keep-directory-symlink --no-same-owner --delay-directory-restore
done
rm -rf "$archives" "$target/status"

# Nothing inside needs accounts, configuration, documentation or programs of the package manager.
rm -rf "$target"/boot "$target"/etc/* "$target"/home "$target"/media "$target"/mnt "$target"/opt "$target"/root "$target"/run \
	"$target"/srv "$target"/sys "$target"/tmp "$target"/var "$target"/usr/games "$target"/usr/include "$target"/usr/local "$target"/usr/sbin/* \
	"$target"/usr/share/bash-completion "$target"/usr/share/bug "$target"/usr/share/debconf "$target"/usr/share/doc \
	"$target"/usr/share/doc-base "$target"/usr/share/info "$target"/usr/share/lintian "$target"/usr/share/locale \
	"$target"/usr/share/man "$target"/usr/share/menu "$target"/usr/share/perl* "$target"/usr/lib/dpkg "$target"/usr/lib/apt
for program in dpkg apt debconf update-alternatives start-stop-daemon; do rm -f "$target/usr/bin/$program"*; done
find "$target" -xdev -perm /6000 -type f -exec chmod a-s {} +
# What maintainer scripts would have linked.
[ -e "$target/usr/bin/sh" ] || ln -s dash "$target/usr/bin/sh"
[ -e "$target/usr/bin/awk" ] || ln -s mawk "$target/usr/bin/awk"
[ -e "$target/usr/bin/which" ] || ln -s which.debianutils "$target/usr/bin/which"
ln -s /runtime/app/src/sandbox/runners/writ.sh "$target/usr/bin/writ"

version=$(basename "$(ls -d "$target"/usr/lib/python3.[0-9]* | head -n 1)")
if [ -f .writ/python/writ-packages ]; then
	# shellcheck disable=SC2046 -- a list of packages
	.writ/python/bin/python -m pip install --quiet --disable-pip-version-check --no-compile --only-binary :all: \
		--python-version "${version#python}" --target "$target/usr/local/lib/$version/dist-packages" $(cat .writ/python/writ-packages) >&2
	find "$target/usr/local/lib" -type d \( -name tests -o -name include \) -prune -exec rm -rf {} +
else
	echo 'without pandas: run `scripts/python.sh` first if Python questions are wanted' >&2
fi

# Compiled Python is taken as it is, since nobody can change its source; else every start would look at each source. The interpreter
# of the image does it, in a root of its own.
[ "$(id -u)" -eq 0 ] || map=--map-root-user
unshare ${map:-} --root="$target" /usr/bin/python3 -m compileall -q --invalidation-mode unchecked-hash \
	"/usr/lib/python3" "/usr/lib/$version" "/usr/local/lib/$version" >/dev/null || echo 'some Python could not be compiled: it will start slower' >&2

cp "$(scripts/node.sh)" "$target/runtime/node"
cp -r node_modules/@duckdb "$target/runtime/app/node_modules/"
mkdir -p "$target/data" "$target/in" "$target/out" "$target/proc" "$target/sys" "$target/dev" "$target/tmp" "$target/runtime/cache"
chmod -R a+rX,go-w "$target"
