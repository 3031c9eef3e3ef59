#!/bin/sh
# Installs the Debian packages that a set of make targets needs and that are missing.
#
#   tools/install-packages.sh SET...      sets: compile demo check interop bench peers lint sanitize
#
# What is there already is found with dpkg-query alone, so that a machine which has everything
# touches neither the network nor apt. Quiet in a pipe; never asks a question. On a system without
# dpkg it says what it would look for and goes on: the build tells what is really missing.
set -eu

compile='gcc libc6-dev meson ninja-build pkg-config libssl-dev libxxhash-dev libzstd-dev libcurl4-openssl-dev
    libpq-dev libsqlite3-dev'
demo="$compile python3 libmicrohttpd-dev libsqlite3-dev"
check="$demo libcmocka-dev libjansson-dev clang libclang-rt-14-dev strace curl openssl
    python3-yaml python3-jsonschema"
interop="$check chromium beancount mariadb-server-core mariadb-client-core
    python3-psycopg2 python3-pymysql" # MariaDB's programs alone: no service, no data
bench="$demo wrk"
peers='redis-server postgresql-15 libpq-dev' # whose service scripts start nothing here
lint="$check clang-tidy clang-format shellcheck"
sanitize="$check"

wanted=
for set in "$@"; do
    case $set in
    compile) wanted="$wanted $compile" ;;
    demo) wanted="$wanted $demo" ;;
    check) wanted="$wanted $check" ;;
    interop) wanted="$wanted $interop" ;;
    bench) wanted="$wanted $bench" ;;
    peers) wanted="$wanted $peers" ;;
    lint) wanted="$wanted $lint" ;;
    sanitize) wanted="$wanted $sanitize" ;;
    *)
        echo "install-packages: no such set: $set (compile demo check interop bench peers lint sanitize)" >&2
        exit 2
        ;;
    esac
done

if ! command -v dpkg-query >/dev/null 2>&1; then
    echo "install-packages: no dpkg here; if the build fails, install:$wanted" >&2
    exit 0
fi

missing=
for package in $wanted; do
    case " $missing " in *" $package "*) continue ;; esac
    dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed ||
        missing="$missing $package"
done
missing=${missing# }
[ -n "$missing" ] || exit 0

as_root=
if [ "$(id -u)" != 0 ]; then
    if command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
        as_root='sudo -n'
    else
        echo "install-packages: these Debian packages are missing: $missing" >&2
        echo "Run as root, then repeat:  apt-get install -y $missing" >&2
        exit 1
    fi
fi

echo "Installing Debian packages: $missing"
log=$(mktemp)
policy=/usr/sbin/policy-rc.d
made_policy=
trap 'rm -f "$log"; [ -z "$made_policy" ] || $as_root rm -f "$policy"' EXIT

# Servers are installed for their programs alone: no service is started, no database cluster made.
case " $* " in
*" peers "* | *" interop "*)
    cluster=/etc/postgresql-common/createcluster.conf
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' | $as_root tee "$policy" >/dev/null
        $as_root chmod 755 "$policy"
        made_policy=1
    fi
    if [ ! -e "$cluster" ]; then
        $as_root mkdir -p "${cluster%/*}"
        echo 'create_main_cluster = false' | $as_root tee "$cluster" >/dev/null
    fi
    ;;
esac
# The variables are lists of words on purpose.
# shellcheck disable=SC2086
if ! {
    $as_root env DEBIAN_FRONTEND=noninteractive LC_ALL=C apt-get -qq \
        -o DPkg::Lock::Timeout=300 update &&
        $as_root env DEBIAN_FRONTEND=noninteractive LC_ALL=C apt-get -qq -y \
            -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 -o Dpkg::Options::=--force-confold \
            install --no-install-recommends $missing
} >"$log" 2>&1 </dev/null; then
    tail -n 20 "$log" >&2
    echo "install-packages: apt-get could not install: $missing" >&2
    echo "Install them by hand as root, then repeat:  apt-get install -y $missing" >&2
    exit 1
fi
