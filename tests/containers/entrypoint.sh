#!/bin/sh
# Entry of the container image: `deut COMMAND...`.
#
# With DEUT_TEST_NETWORK=name the container belongs to a test network of that name: bootstrap.toml is written from
# DEUT_PEERS ("ip:port=key ip:port ...", an IPv6 address in brackets, the key may be missing), and `run` listens on the
# address that leads to them, port DEUT_PORT (14400); tunnels end on the 128 ports after it. DEUT_TEST_RELAY_KEY, 32
# characters, gives a node an identity that others can list; whoever reads it can pretend to be that node. Without
# DEUT_TEST_NETWORK nothing is added: mount a bootstrap.toml at /data/bootstrap.toml and give `run` its options.
set -eu

bootstrap() {
    printf 'network = "%s"\nprofile = "test"\n' "$DEUT_TEST_NETWORK"
    for peer in ${DEUT_PEERS:-}; do
        printf '\n[[peer]]\naddress = "%s"\n' "${peer%%=*}"
        case $peer in *=*) printf 'key = "%s"\n' "${peer#*=}" ;; esac
    done
}

relay_key() {
    umask 077
    mkdir -p "$1" && [ -e "$1/relay.key" ] || printf %s "$DEUT_TEST_RELAY_KEY" >"$1/relay.key"
}

if [ -n "${DEUT_TEST_NETWORK:-}" ]; then
    # A data directory of another user is refused by deut, which says whose it must be: nothing ends here before that.
    if ! { bootstrap >bootstrap.toml; } 2>/dev/null; then
        cd "$(mktemp -d)"
        bootstrap >bootstrap.toml
    fi
    if [ -n "${DEUT_TEST_RELAY_KEY:-}" ]; then
        (relay_key "${XDG_DATA_HOME:-/data}/deut") 2>/dev/null || true
    fi
    if [ "${1:-}" = run ]; then
        shift
        set -- run --listen "auto:${DEUT_PORT:-14400}" "$@"
    fi
fi

exec deut "$@"
