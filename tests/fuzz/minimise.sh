#!/usr/bin/env bash
# Keeps of each corpus what the coverage needs, and of that what is small: at most so many bytes per target. Inputs named
# seed-* and found-* always stay.
#   tests/fuzz/minimise.sh [bytes per target, default 28000] [target...]
set -uo pipefail
cd "$(dirname "$0")" || exit 1
budget=${1:-28000}
shift || true
directory=${FUZZ_TARGET_DIR:-$PWD/../../target/fuzz}
from=${FUZZ_CORPUS:-$PWD/corpus}
if [ $# = 0 ]; then
  for file in fuzz_targets/*.rs; do set -- "$@" "$(basename "$file" .rs)"; done
fi
for target in "$@"; do
  all=$(mktemp -d)
  cp "$from/$target"/* "$all"/ 2>/dev/null
  [ "$from" = "$PWD/corpus" ] || cp "corpus/$target"/* "$all"/ 2>/dev/null
  nice -n 15 cargo fuzz cmin -s none -O --fuzz-dir . --target-dir "$directory" "$target" "$all" >/dev/null 2>&1
  for file in "corpus/$target"/*; do
    case $(basename "$file") in seed-* | found-*) ;; *) rm -f "$file" ;; esac
  done
  used=0
  # Smallest first: they say most per byte.
  while read -r size name; do
    case $name in seed-* | found-*) continue ;; esac
    [ "$size" -le 4096 ] && [ $((used + size)) -le "$budget" ] || continue
    cp "$all/$name" "corpus/$target/$name"
    used=$((used + size))
  done < <(find "$all" -type f -printf '%s %f\n' | sort -n)
  rm -rf "$all"
  printf '%-14s %4d inputs %7d bytes\n' "$target" "$(find "corpus/$target" -type f | wc -l)" \
    "$(find "corpus/$target" -type f -printf '%s\n' | awk '{sum += $1} END {print sum + 0}')"
done
