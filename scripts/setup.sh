# setup.sh - what both commands of the README need from the distribution; sourced, not run.
#
# Installs only what is missing, through apt on Debian and its relatives.  Elsewhere it says what
# is missing and lets the build report the rest.

BUILD_PACKAGES="gcc libc6-dev cmake ninja-build pkg-config git ca-certificates
    libuv1-dev liblua5.4-dev lua-cjson-dev libcurl4-openssl-dev libyaml-dev libssl-dev
    libcrypt-dev libpq-dev libsqlite3-dev zlib1g-dev libbrotli-dev libzstd-dev"
# llhttp is a library of its own where the distribution has one, else node-llhttp ships its sources.
LLHTTP_PACKAGES="libllhttp-dev node-llhttp"
TEST_PACKAGES="clang-14 libclang-rt-14-dev llvm-14 libcmocka-dev python3 python3-venv openssl curl"

say() {
    printf '== %s\n' "$*" >&2
}

package_installed() {
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# as_root COMMAND...: directly, or with sudo.
as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null 2>&1; then
        sudo -n "$@" 2>/dev/null || sudo "$@"
    else
        say "this needs root or sudo: $*"
        return 1
    fi
}

APT_UPDATED=no
apt_update_once() {
    [ "$APT_UPDATED" = yes ] && return 0
    say "apt-get update"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq || return 1
    APT_UPDATED=yes
}

# install_packages PACKAGE...: those that are not there yet.
install_packages() {
    local missing="" package
    for package in "$@"; do
        package_installed "$package" || missing="$missing $package"
    done
    [ -z "$missing" ] && return 0
    apt_update_once || return 1
    say "installing:$missing"
    # shellcheck disable=SC2086
    as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends $missing >&2
}

install_llhttp() {
    local package
    for package in $LLHTTP_PACKAGES; do
        package_installed "$package" && return 0
    done
    [ -e /usr/share/llhttp/llhttp.c ] && return 0
    apt_update_once || return 1
    for package in $LLHTTP_PACKAGES; do
        if apt-cache show "$package" >/dev/null 2>&1; then
            install_packages "$package"
            return
        fi
    done
    say "no package offers llhttp here"
    return 1
}

have_apt() {
    command -v apt-get >/dev/null 2>&1 && command -v dpkg-query >/dev/null 2>&1
}

setup_build() {
    if ! have_apt; then
        say "no apt here; the build needs what these Debian packages hold:" $BUILD_PACKAGES node-llhttp
        return 0
    fi
    # shellcheck disable=SC2086
    install_packages $BUILD_PACKAGES && install_llhttp
}

setup_tests() {
    setup_build || return 1
    have_apt || return 0
    # shellcheck disable=SC2086
    install_packages $TEST_PACKAGES || return 1
    # Any npm will do: when its Node is too old for the SDKs a newer one comes from npm itself.
    command -v npm >/dev/null 2>&1 || install_packages nodejs npm
}

# setup_python DIRECTORY: a virtual environment with the pinned test tools, reused while the pins
# stay the same.
setup_python() {
    local pins="$ROOT/tests/integration/requirements.txt"
    if ! cmp -s "$pins" "$1/installed.txt"; then
        say "python packages of tests/integration/requirements.txt"
        python3 -m venv "$1" || return 1
        "$1/bin/pip" install --quiet --disable-pip-version-check -r "$pins" >&2 || return 1
        cp "$pins" "$1/installed.txt"
    fi
}

NODE_WANTED=22 # what the JavaScript SDK asks for

# setup_node DIRECTORY: the JavaScript SDK, and Node itself where the system's is too old.
setup_node() {
    local pins="$ROOT/tests/integration/package.json" major
    mkdir -p "$1"
    if ! cmp -s "$pins" "$1/installed.json"; then
        say "npm packages of tests/integration/package.json"
        cp "$pins" "$1/package.json"
        (cd "$1" && npm install --silent --no-audit --no-fund --omit=optional >&2) || return 1
        cp "$pins" "$1/installed.json"
    fi
    major=$(node --version 2>/dev/null | sed 's/^v\([0-9]*\).*/\1/')
    if [ "${major:-0}" -lt "$NODE_WANTED" ] && [ ! -x "$1/node_modules/.bin/node" ]; then
        say "Node ${major:-none} is older than $NODE_WANTED: taking the npm package"
        (cd "$1" && npm install --silent --no-audit --no-fund --no-save \
            "node@$(sed -n 's/.*"nodeVersion": *"\([^"]*\)".*/\1/p' package.json)" >&2) || return 1
    fi
}

# setup_clients DIRECTORY: the programs that tests/integration/test_real_clients.py runs.  With
# their optional packages: some of them are native programs that npm picks for the machine.
setup_clients() {
    local pins="$ROOT/tests/integration/clients/package.json"
    mkdir -p "$1"
    if ! cmp -s "$pins" "$1/installed.json"; then
        say "npm packages of tests/integration/clients/package.json (0.8 GB, once)"
        cp "$pins" "$1/package.json"
        (cd "$1" && npm install --silent --no-audit --no-fund >&2) || return 1
        cp "$pins" "$1/installed.json"
    fi
}
