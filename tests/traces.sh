#!/usr/bin/env bash
# Whether a change left the behaviour of the nodes as it was, to the bit: fixed runs of the simulator, whose hash of all that
# happened and whose report must be the same before and after. For changes that only move code; who changes what nodes do on
# purpose writes the files anew, in the same commit, and says why.
#   tests/traces.sh check [NAME...]   runs them and prints what differs from tests/traces/NAME.json; ends with 1 if anything does
#   tests/traces.sh write [NAME...]   writes those files
#   tests/traces.sh list              prints the names and the options
# Variables: DEUT_SIM   a simulator that is there already, instead of building one
# Takes some three minutes of one core, beside the build.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

runs() {
  echo "loss --nodes 60 --duration 10m --loss 1 --seed 7"
  # All that moves a node: translators, sessions that end, nodes that come back or stand still, clocks that are off.
  echo "everything --nodes 40 --duration 10m --loss 1 --duplicate 1 --reorder 1 --nat 50 --churn 15m --restart 50 --pause 2 --skew 60 --seed 8"
  # Crashes, a network in two halves, and wires that are slow.
  echo "disasters --nodes 40 --duration 8m --crash 5m:25 --cut 6m:60 --rate 100000 --seed 9"
  echo "sybils --nodes 40 --duration 6m --sybils 12 --seed 10"
  # What colluding relays see: the probe's side of the nodes.
  echo "anonymity --nodes 40 --duration 8m --loss 1 --anonymity --seed 11"
  # Long enough that tunnels, sessions and records are renewed many times.
  echo "hours --nodes 16 --duration 3h --loss 1 --lookups 0.1 --values 30 --seed 14"
  echo "real --nodes 16 --duration 6m --loss 1 --real --seed 12"
  local behaviour
  for behaviour in drop delay corrupt replay always-endpoint only-to-colluders \
    made-up stale wrong-values forged-peers only-sybils silent; do
    echo "$behaviour --nodes 40 --duration 8m --hostile 20 --behaviour $behaviour --seed 13"
  done
  # Whose nodes are gone only where some leave.
  echo "stale-churn --nodes 40 --duration 8m --hostile 20 --behaviour stale --churn 10m --seed 15"
}

# report OPTION...: the report of a run in one form, without the memory, which depends on the machine. Time in it is virtual.
report() {
  local answer
  answer=$(timeout 1800 "$sim" "$@" --json 2>"$said") || { cat "$said" >&2; return 1; }
  printf '%s' "$answer" | python3 -c '
import json, sys

report = json.load(sys.stdin)
del report["memory_per_node"], report["of_first_run"]
json.dump({"options": " ".join(sys.argv[1:]), "report": report}, sys.stdout, indent=1, sort_keys=True)
print()' "$@"
}

# What differs between two reports, one line each.
differences() {
  python3 - "$1" "$2" <<'PY'
import json, sys


def flat(value, name=""):
    if isinstance(value, dict):
        return {key: leaf for part in value for key, leaf in flat(value[part], f"{name}.{part}" if name else part).items()}
    return {name: value}


before, after = (flat(json.load(open(name))) for name in sys.argv[1:])
for name in sorted(before.keys() | after.keys()):
    if before.get(name) != after.get(name):
        print(f"    {name}: {before.get(name)} before, {after.get(name)} now")
PY
}

what=${1:-}
case $what in
  write | check) shift ;;
  list) runs; exit 0 ;;
  *) sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac
for name in "$@"; do
  runs | grep "^$name " >/dev/null || { echo "no run has this name: $name (tests/traces.sh list)"; exit 2; }
done
sim=${DEUT_SIM:-${CARGO_TARGET_DIR:-target}/release/sim}
[ -n "${DEUT_SIM:-}" ] || cargo build --quiet --release --locked -p deut-tests --bin sim || exit 1
mkdir -p tests/traces
now=$(mktemp) said=$(mktemp)
trap 'rm -f "$now" "$said"' EXIT

code=0 started=$SECONDS
while read -r name options; do
  if [ $# != 0 ] && [[ " $* " != *" $name "* ]]; then continue; fi
  from=$SECONDS file=tests/traces/$name.json
  # shellcheck disable=SC2086
  if ! report $options >"$now"; then
    echo "$name: FAILED to run: sim $options"
    code=1
  elif [ "$what" = write ]; then
    cat "$now" >"$file"
    echo "$name: written, $((SECONDS - from)) s"
  elif [ ! -e "$file" ]; then
    echo "$name: DIFFERS: $file is not there"
    code=1
  elif cmp -s "$file" "$now"; then
    echo "$name: the same, $((SECONDS - from)) s"
  else
    echo "$name: DIFFERS"
    differences "$file" "$now"
    code=1
  fi
done < <(runs)
# A file that no run writes would look like a trace that is checked.
for file in tests/traces/*.json; do
  name=$(basename "$file" .json)
  runs | grep "^$name " >/dev/null || { echo "$file: no run writes it; remove it"; code=1; }
done
echo "$what: $([ $code = 0 ] && echo "all well" || echo FAILED), $((SECONDS - started)) s"
exit $code
