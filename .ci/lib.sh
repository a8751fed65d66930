# shellcheck shell=bash
# Shared by the scripts in this directory; source it.
# Variables: DEUT_CI_CACHE (tools and, in CI, build products; default ~/.cache/deut-ci)
#            DEUT_SKIP     (sections to leave out, for somebody who works on one: a pattern such as 'containers|tests')

cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
cache=${DEUT_CI_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/deut-ci}
export PATH="$cache/bin:$HOME/.cargo/bin:$PATH"
# The pinned toolchain may be there under another name.
pinned=$(sed -n 's/^channel = "\(.*\)"/\1/p' rust-toolchain.toml)
if ! rustc --version >/dev/null 2>&1 \
  && [ "$(RUSTUP_TOOLCHAIN=stable rustc --version 2>/dev/null | cut -d ' ' -f 2)" = "$pinned" ]; then
  export RUSTUP_TOOLCHAIN=stable
fi
export CARGO_TERM_COLOR=${CARGO_TERM_COLOR:-never}
export PYTHONDONTWRITEBYTECODE=1
if [ -n "${CI:-}" ] && [ -z "${CARGO_TARGET_DIR:-}" ]; then
  export CARGO_TARGET_DIR=$cache/target
fi
started=$SECONDS
failed=()
table=()

# section NAME COMMAND...: prints the name, runs the command, remembers its failure and how long it took.
section() {
  local name=$1 from=$SECONDS rc=0 took how
  shift
  printf '\n=== %s\n' "$name"
  "$@" </dev/null || rc=$?
  took=$((SECONDS - from)) how=ok
  if [ "$rc" != 0 ]; then
    how="FAILED with $rc"
    failed+=("$name")
  fi
  printf -- '--- %s: %s, %d s\n' "$name" "$how" "$took"
  table+=("$(printf '%-22s %6d  %s' "$name" "$took" "$how")")
  return 0
}

wanted() { [ -z "${DEUT_SKIP:-}" ] || ! [[ $1 =~ ^($DEUT_SKIP)$ ]]; }

# step NAME COMMAND...: a section that DEUT_SKIP may leave out.
step() {
  if wanted "$1"; then
    section "$@"
  else
    printf '\n=== %s\n--- %s: left out by DEUT_SKIP\n' "$1" "$1"
    table+=("$(printf '%-22s %6s  left out' "$1" -)")
  fi
}

# begin NAME COMMAND...: starts a step that runs beside the ones that follow.
# join NAME: waits for it, prints what it printed, and counts it like any other; its seconds are those of its own.
declare -A beside=()
begin() {
  wanted "$1" || return 0
  local name=$1 log
  shift
  log=$(mktemp) || return 1
  (
    from=$SECONDS code=0
    "$@" </dev/null >"$log" 2>&1 || code=$?
    echo "$code $((SECONDS - from))" >"$log.end"
  ) &
  beside[$name]="$! $log"
}
join() {
  local name=$1 pid log code=1 took=0 how=ok
  if [ -z "${beside[$name]:-}" ]; then
    step "$name" false
    return 0
  fi
  read -r pid log <<<"${beside[$name]}"
  wait "$pid"
  [ -f "$log.end" ] && read -r code took <"$log.end"
  printf '\n=== %s\n' "$name"
  cat "$log"
  rm -f "$log" "$log.end"
  if [ "$code" != 0 ]; then
    how="FAILED with $code"
    failed+=("$name")
  fi
  printf -- '--- %s: %s, %d s\n' "$name" "$how" "$took"
  table+=("$(printf '%-22s %6d  %s, beside others' "$name" "$took" "$how")")
}

# conclude: a table of the sections with their seconds, and what failed; the exit code of the script.
# Tools that are built once and kept do not count: they say nothing about the project.
conclude() {
  local all=$((SECONDS - started)) apart=${tools_took:-0}
  printf '\n=== sections and their seconds\n'
  printf '%s\n' "${table[@]}"
  printf '%-22s %6d  (and %d for tools that are kept)\n' "in all" $((all - apart)) "$apart"
  if [ ${#failed[@]} = 0 ]; then
    echo "all sections passed"
    return 0
  fi
  printf 'FAILED: %s\n' "${failed[@]}"
  return 1
}

apt_updated=no
# package COMMAND NAME...: installs Debian packages if the command is missing and we may.
package() {
  local command=$1
  shift
  command -v "$command" >/dev/null && return 0
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "$command is missing; install it ($*)"
    return 1
  fi
  if [ "$apt_updated" = no ]; then
    apt-get -q update >/dev/null || return 1
    apt_updated=yes
  fi
  DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends install "$@" >/dev/null
}

# What everything here needs: a toolchain, a C compiler, Python.
basics() {
  command -v cargo >/dev/null || { echo "cargo is missing: install a Rust toolchain"; return 1; }
  cargo --version
  package cc gcc libc6-dev && package python3 python3-minimal && package ip iproute2 && package nft nftables \
    && package setpriv util-linux && package prlimit util-linux
}

# Formatting and lints, in the profile of the tests. Shipped code (libraries and binaries) is held to all of it; tests may
# read clocks, print, have long tables and share modules.
formatted() { cargo fmt --all --check; }
shipped_lints() {
  cargo clippy --release --locked --quiet --workspace --lib --bins -- -D warnings -D clippy::iter_over_hash_type
}
test_lints() {
  cargo clippy --release --locked --quiet --workspace --all-targets -- -D warnings \
    -A clippy::disallowed_methods -A clippy::disallowed_types -A clippy::too_many_lines -A clippy::print_stdout \
    -A unreachable_pub
}

# Circles between modules, long files and functions, types that do everything: first that the rules still find what they must.
house() { .ci/house --self-test && .ci/house; }

# With overflow checks and debug assertions, which the release profile has not.
core_tests() {
  timeout 1800 cargo test --locked --quiet -p deut-transport -p deut-kademlia --lib
}

# testnets COUNT NODES: so many fresh test networks, one after the other; each must find an address that answers.
testnets() { timeout 3600 bash tests/testnet_runs.sh "$@"; }

# simulate OPTION...: one long run of the simulator. With large pages of memory it takes a sixth less.
simulate() {
  cargo build --quiet --release --locked -p deut-tests --bin sim || return 1
  GLIBC_TUNABLES=glibc.malloc.hugetlb=1 timeout 5400 "${CARGO_TARGET_DIR:-target}/release/sim" "$@" 2>/dev/null
}

# The container tests; skipped where no engine answers.
containers() {
  local code=0
  if ! docker info >/dev/null 2>&1; then
    echo "skipped: no Docker engine answers"
    return 0
  fi
  # Where no base image is there, one is made from Debian's packages.
  if ! docker image inspect debian:bookworm-slim >/dev/null 2>&1; then package debootstrap debootstrap || true; fi
  # It keeps its base image in the cache of this script rather than in the repository.
  DEUT_IMAGE_CACHE=$cache/containers timeout 1800 bash tests/containers/run.sh || code=$?
  [ "$code" = 77 ] && return 0
  return $code
}
