# shellcheck shell=bash
# Shared by the scripts in this directory; source it.
# Variables: DEUT_CI_CACHE (tools and, in CI, build products; default ~/.cache/deut-ci).

cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
cache=${DEUT_CI_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/deut-ci}
export PATH="$cache/bin:$HOME/.cargo/bin:$PATH"
export CARGO_TERM_COLOR=${CARGO_TERM_COLOR:-never}
started=$SECONDS
failed=()

# section NAME COMMAND...: prints the name, runs the command, remembers its failure, prints how long it took.
section() {
  local name=$1 from=$SECONDS rc=0
  shift
  printf '\n=== %s\n' "$name"
  "$@" </dev/null || rc=$?
  if [ "$rc" = 0 ]; then
    printf -- '--- %s: ok, %d s\n' "$name" $((SECONDS - from))
  else
    printf -- '--- %s: FAILED with %d, %d s\n' "$name" "$rc" $((SECONDS - from))
    failed+=("$name")
  fi
  return 0
}

# conclude: says what failed; the exit code of the script.
conclude() {
  printf '\n=== result after %d s\n' $((SECONDS - started))
  if [ ${#failed[@]} = 0 ]; then
    echo "all sections passed"
    return 0
  fi
  printf 'FAILED: %s\n' "${failed[@]}"
  return 1
}

# Formatting and lints. Shipped code (libraries and binaries) is held to all of it; tests may read clocks, print,
# have long tables and share modules.
formatted() { cargo fmt --all --check; }
shipped_lints() {
  cargo clippy --locked --workspace --lib --bins "$@" -- -D warnings -D clippy::iter_over_hash_type
}
test_lints() {
  cargo clippy --locked --workspace --all-targets "$@" -- -D warnings \
    -A clippy::disallowed_methods -A clippy::disallowed_types -A clippy::too_many_lines -A clippy::print_stdout \
    -A unreachable_pub
}

# With overflow checks and debug assertions, which the release profile has not.
core_tests() {
  timeout 1200 cargo test --locked --quiet -p deut-transport -p deut-kademlia --lib
}
