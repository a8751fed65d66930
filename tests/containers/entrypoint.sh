#!/bin/sh
# Entry of the container image.
#   deut-entrypoint healthy     the health check: exit code 0 once the node is ready
#   deut-entrypoint COMMAND...  deut COMMAND...
#
# With DEUT_TEST_NETWORK=name the container belongs to a test network of that name: bootstrap.toml is written from
# DEUT_PEERS ("ip:port ip:port ..."), and `run` listens on the container's own address, port DEUT_PORT (14400); tunnels
# end on the 128 ports after it. Without the variable nothing is added: mount a bootstrap.toml at /data/bootstrap.toml
# and give `run` its options.
set -eu

port=${DEUT_PORT:-14400}

if [ "${1:-}" = healthy ]; then
    deut status --json | grep -q '"ready":true'
    exit
fi

if [ -n "${DEUT_TEST_NETWORK:-}" ]; then
    address=$(hostname -i)
    here=${address%% *}:$port
    {
        printf 'network = "%s"\nprofile = "test"\n' "$DEUT_TEST_NETWORK"
        for peer in ${DEUT_PEERS:-}; do
            [ "$peer" = "$here" ] || printf '\n[[peer]]\naddress = "%s"\n' "$peer"
        done
    } >/data/bootstrap.toml
    if [ "${1:-}" = run ]; then
        shift
        set -- run --listen "$here" "$@"
    fi
fi

exec deut "$@"
