#!/usr/bin/env bash
# Runs `deut testnet --json` many times, one after the other: each must find the announcer's persona with an address.
#   tests/testnet_runs.sh [COUNT [NODES [LOOPS]]]     default: 10 runs with 16 nodes; LOOPS: busy loops beside them (0)
# Prints one line per run that did not, and a summary with what the runs took. Ends with 1 if one did not.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
count=${1:-10} nodes=${2:-16} loops=${3:-0}
deut=${CARGO_TARGET_DIR:-target}/release/deut
[ -x "$deut" ] || { echo "$deut is missing: cargo build --release"; exit 1; }

busy=()
trap '[ ${#busy[@]} = 0 ] || kill "${busy[@]}" 2>/dev/null' EXIT
for ((i = 0; i < loops; i++)); do
  # Ends by itself should this script be killed.
  timeout 7200 bash -c 'while :; do :; done' &
  busy+=($!)
done

answers=$(mktemp)
trap '[ ${#busy[@]} = 0 ] || kill "${busy[@]}" 2>/dev/null; rm -f "$answers"' EXIT
for ((run = 1; run <= count; run++)); do
  timeout 400 "$deut" testnet --nodes "$nodes" --json 2>/dev/null | tail -1 >>"$answers"
done
python3 - "$answers" "$count" "$nodes" "$loops" <<'PY'
import json, statistics, sys

answers, count, nodes, loops = open(sys.argv[1]).read().splitlines(), *map(int, sys.argv[2:])
good, times = 0, {"ready_ms": [], "announce_ms": [], "lookup_ms": []}
for run, line in enumerate(answers, 1):
    try:
        answer = json.loads(line)
    except ValueError:
        answer = {"error": line}
    if answer.get("resolved") is True and answer.get("addresses"):
        good += 1
        for name, list_ in times.items():
            list_.append(answer[name])
    else:
        print(f"run {run}: {line}")
print(f"{good} of {count} test networks of {nodes} nodes resolved the link to an address, {loops} busy loops beside them")
for name, list_ in times.items():
    if list_:
        list_.sort()
        at = lambda share: list_[min(len(list_) - 1, int(share * len(list_)))]
        print(f"  {name}: median {statistics.median(list_):.1f}, 95 % {at(0.95):.1f}, most {list_[-1]:.1f}")
sys.exit(good != count)
PY
