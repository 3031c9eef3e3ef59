#!/bin/sh
# Proof that a clean Debian 12 needs nothing but git and make.
#
#   tools/clean-root.sh [--shared DIR] [--cache FILE.tar] [--keep] [TARGET...]
#
# As root: makes a minimal bookworm root by debootstrap in a temporary directory, installs git and
# make there and nothing else, clones this repository's HEAD into it and runs `make demo`, then
# `make check` (or the given targets), each with its time. --shared binds DIR read-only beside the
# clone as ../shared. --cache keeps the bare root of debootstrap for the next time. --keep leaves
# the root for a look. Packages come from where this machine's own apt gets Debian 12.
# FUZZ_SECONDS, SIM_RUNS and HOLDFAST_LONG pass through. Exit status 0 if every target passed.
set -eu

fail() {
    echo "clean-root: $*" >&2
    exit 1
}

shared=
cache=
keep=
targets=
while [ $# -gt 0 ]; do
    case $1 in
    --shared)
        [ -d "${2:-}" ] || fail "--shared: no such directory: ${2:-}"
        shared=$(cd "$2" && pwd)
        shift
        ;;
    --cache)
        cache=$2
        shift
        ;;
    --keep) keep=yes ;;
    -*) fail "unknown option $1" ;;
    *) targets="$targets $1" ;;
    esac
    shift
done
[ -n "$targets" ] || targets='demo check'
[ "$(id -u)" = 0 ] || fail "must run as root (debootstrap, chroot, mount)"
command -v debootstrap >/dev/null || fail "needs debootstrap: apt-get install debootstrap"
repository=$(cd "$(dirname "$0")/.." && git rev-parse --show-toplevel)

base=$(mktemp -d "${TMPDIR:-/var/tmp}/holdfast-root.XXXXXX")
root=$base/root

mounts_below() {
    awk -v below="$base/" 'index($5, below) == 1 { print $5 }' /proc/self/mountinfo | sort -r
}

# Nothing is deleted while something is mounted below: /dev of this machine would go with it.
clean_up() {
    status=$?
    trap - EXIT INT TERM
    for mounted in $(mounts_below); do
        umount "$mounted" 2>/dev/null || umount -l "$mounted" || true
    done
    if [ -n "$(mounts_below)" ]; then
        echo "clean-root: still mounted below $base; left as it is" >&2
    elif [ -n "$keep" ]; then
        echo "clean-root: the root is kept in $root"
    else
        rm -rf --one-file-system "$base"
    fi
    exit $status
}
trap clean_up EXIT
trap 'exit 130' INT TERM

# "deb URI SUITE COMPONENT" lines of Debian 12 as apt sees them here, whatever the files look like.
# The fields are apt's, not the shell's.
# shellcheck disable=SC2016
apt-get indextargets --format 'deb $(REPO_URI) $(RELEASE) $(COMPONENT)' \
    'Created-By: Packages' 'Origin: Debian' 2>/dev/null |
    awk '$3 ~ /^bookworm/ && $4 == "main"' | sort -u >"$base/sources.list"
mirror=$(awk '$3 == "bookworm" { print $2; exit }' "$base/sources.list")
[ -n "$mirror" ] || fail "apt on this machine knows no source of Debian 12 (try apt-get update)"

if [ -n "$cache" ] && [ -f "$cache" ]; then
    mkdir "$root"
    tar -xf "$cache" -C "$root" --numeric-owner
else
    echo "clean-root: debootstrap (minbase, bookworm)"
    debootstrap --variant=minbase bookworm "$root" "$mirror" >"$base/debootstrap.log" 2>&1 || {
        tail -n 20 "$base/debootstrap.log" >&2
        fail "debootstrap failed"
    }
    if [ -n "$cache" ]; then
        tar -cf "$cache.new" -C "$root" --numeric-owner . && mv "$cache.new" "$cache"
    fi
fi

cp "$base/sources.list" "$root/etc/apt/sources.list"
apt-config dump Acquire |
    grep -E '^Acquire::(https?::|Retries|Check-Valid-Until|Check-Date)' \
        >"$root/etc/apt/apt.conf.d/90host" || true
for file in resolv.conf hosts; do
    [ ! -f "/etc/$file" ] || cp -L "/etc/$file" "$root/etc/$file"
done
mount -t proc proc "$root/proc"
mount --bind /dev "$root/dev"

inside() {
    env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root \
        ${http_proxy:+"http_proxy=$http_proxy"} ${https_proxy:+"https_proxy=$https_proxy"} \
        ${FUZZ_SECONDS:+"FUZZ_SECONDS=$FUZZ_SECONDS"} ${SIM_RUNS:+"SIM_RUNS=$SIM_RUNS"} \
        ${HOLDFAST_LONG:+"HOLDFAST_LONG=$HOLDFAST_LONG"} \
        chroot "$root" /bin/sh -c "$1" </dev/null
}

echo "clean-root: apt-get install git make"
inside 'apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq -y \
    -o Dpkg::Use-Pty=0 install --no-install-recommends git make' >"$base/apt.log" 2>&1 || {
    tail -n 20 "$base/apt.log" >&2
    fail "apt-get install git make failed"
}

git clone -q --bare "$repository" "$root/srv/holdfast.git"
inside 'git config --global --add safe.directory "*" && mkdir /srv/clone &&
    git clone -q /srv/holdfast.git /srv/clone/holdfast'
if [ -n "$shared" ]; then
    mkdir "$root/srv/clone/shared"
    mount --bind "$shared" "$root/srv/clone/shared"
    mount -o remount,bind,ro "$root/srv/clone/shared"
fi
echo "clean-root: $(git -C "$repository" log -1 --format='%h %s'), ../shared" \
    "$([ -n "$shared" ] && echo present || echo absent)"

failed=0
for target in $targets; do
    started=$(date +%s)
    if inside "cd /srv/clone/holdfast && make $target" 2>&1; then
        result=passed
    else
        result=FAILED
        failed=1
    fi
    echo "clean-root: make $target $result in $(($(date +%s) - started)) s"
done
[ "$failed" -eq 0 ] || exit 1
echo "clean-root: all passed"
