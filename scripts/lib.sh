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
