#!/usr/bin/env bash
# Fuzzes targets one after the other, one process at a time, at the lowest priority.
#   tests/fuzz/run.sh [seconds] [target...]      default: 30 s, every target
# New inputs go into the corpus (git tells which; `tests/fuzz/minimise.sh` before a commit), findings into artifacts/.
# Variables:
#   FUZZ_TARGET_DIR   where the binaries are built (default: target/fuzz of the repository)
#   FUZZ_SANITIZER    none (default; needs nothing but stable Rust) or address (sets RUSTC_BOOTSTRAP=1)
#   FUZZ_CORPUS       where the corpora live (default: tests/fuzz/corpus)
# Prints one line per target: executions, executions per second, features covered, seconds, findings. Ends with 1 if there
# was a finding.
set -uo pipefail
cd "$(dirname "$0")" || exit 1
seconds=${1:-30}
shift || true
sanitizer=${FUZZ_SANITIZER:-none}
directory=${FUZZ_TARGET_DIR:-$PWD/../../target/fuzz}
corpora=${FUZZ_CORPUS:-$PWD/corpus}
[ "$sanitizer" = none ] || export RUSTC_BOOTSTRAP=1
cargo fuzz --version >/dev/null 2>&1 || { echo "cargo-fuzz is missing: cargo install cargo-fuzz"; exit 1; }

# Debug assertions and overflow checks of our own crates: see Cargo.toml.
options=(-s "$sanitizer" -O --fuzz-dir . --target-dir "$directory")
cargo fuzz build "${options[@]}" >/dev/null 2>&1 || { echo "the targets do not build:"; cargo fuzz build "${options[@]}"; exit 1; }

triple=$(rustc -vV | awk '/^host:/ {print $2}')
if [ $# = 0 ]; then
  for file in fuzz_targets/*.rs; do set -- "$@" "$(basename "$file" .rs)"; done
fi
log=$(mktemp)
trap 'rm -f "$log"' EXIT
failed=0
for target in "$@"; do
  found=0 from=$SECONDS
  mkdir -p "$corpora/$target" "artifacts/$target"
  # Inputs as long as the replay allows; a target may not need more than a minute or half a gibibyte for one.
  nice -n 15 "$directory/$triple/release/$target" "$corpora/$target" \
    -max_total_time="$seconds" -max_len=4096 -timeout=60 -rss_limit_mb=2048 -print_final_stats=1 \
    -artifact_prefix="$PWD/artifacts/$target/" >"$log" 2>&1 || found=1
  runs=$(awk '/stat::number_of_executed_units/ {print $2}' "$log")
  rate=$(awk '/stat::average_exec_per_sec/ {print $2}' "$log")
  features=$(grep -o 'ft: [0-9]*' "$log" | tail -1)
  printf '%-14s %10s runs %7s/s  %-10s %5d s  findings: %d\n' \
    "$target" "${runs:-?}" "${rate:-?}" "${features:-}" $((SECONDS - from)) "$found"
  if [ "$found" = 1 ]; then
    failed=1
    grep -E 'panicked|^assertion|ERROR: libFuzzer|Test unit written' -A2 "$log" | head -12
  fi
done
exit $failed
