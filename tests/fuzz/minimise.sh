#!/usr/bin/env bash
# Keeps of each corpus what the coverage needs, and of that 40 inputs of all sizes, at most so many bytes per target.
# Inputs named seed-* and found-* always stay.
#   tests/fuzz/minimise.sh [bytes per target, default 20000] [target...]
set -uo pipefail
cd "$(dirname "$0")" || exit 1
budget=${1:-20000}
most=40
shift || true
directory=${FUZZ_TARGET_DIR:-$PWD/../../target/fuzz}
from=${FUZZ_CORPUS:-$PWD/corpus}
triple=$(rustc -vV | awk '/^host:/ {print $2}')
if [ $# = 0 ]; then
  for file in fuzz_targets/*.rs; do set -- "$@" "$(basename "$file" .rs)"; done
fi
for target in "$@"; do
  all=$(mktemp -d)
  cp "$from/$target"/* "$all"/ 2>/dev/null
  [ "$from" = "$PWD/corpus" ] || cp "corpus/$target"/* "$all"/ 2>/dev/null
  kept=$(mktemp -d)
  nice -n 15 "$directory/$triple/release/$target" -merge=1 "$kept" "$all" >/dev/null 2>&1 \
    || echo "$target: merging failed; was it built by run.sh?"
  for file in "corpus/$target"/*; do
    case $(basename "$file") in seed-* | found-*) ;; *) rm -f "$file" ;; esac
  done
  # Every so many of them, from the smallest to the largest.
  count=$(find "$kept" -type f | wc -l)
  step=$(((count + most - 1) / most))
  used=0 number=0
  while read -r size name; do
    number=$((number + 1))
    [ $((number % step)) = 0 ] || continue
    case $name in seed-* | found-*) continue ;; esac
    [ "$size" -le 4096 ] && [ $((used + size)) -le "$budget" ] || continue
    cp "$kept/$name" "corpus/$target/$name"
    used=$((used + size))
  done < <(find "$kept" -type f -printf '%s %f\n' | sort -n)
  rm -rf "$all" "$kept"
  printf '%-14s %4d inputs %7d bytes\n' "$target" "$(find "corpus/$target" -type f | wc -l)" \
    "$(find "corpus/$target" -type f -printf '%s\n' | awk '{sum += $1} END {print sum + 0}')"
done
