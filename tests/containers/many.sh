# shellcheck shell=bash disable=SC2154
# Part of run.sh with MANY=1: 40 nodes, of which 37 go at once. All eight that kept an announcement may be among them, so one
# that stays announces anew; that is found from then on, and an unknown key ends as not found. Seconds are printed, not
# judged.

# What the engine says goes where a failed check is explained.
scale() { answer compose up -d --no-build --no-recreate --scale "node=$1" && mapfile -t nodes < <(compose ps -q node); }
# Ten more at a time: each makes some thirty RSA keys when it starts, and all of them share the machine's cores.
becomes_40() {
  local count
  for count in 20 30 40; do
    scale "$count" && are_ready "${nodes[@]}" || return 1
  done
  # Compose forgets the volumes of those that go when it scales down.
  mapfile -t volumes < <(docker inspect -f '{{range .Mounts}}{{if .Name}}{{println .Name}}{{end}}{{end}}' "${nodes[@]}" | grep .)
  echo "${#nodes[@]} nodes are there" >"$work/answer"
  [ ${#nodes[@]} = 40 ]
}
becomes_3() { scale 3 && [ ${#nodes[@]} = 3 ]; }
check "40 nodes become ready" becomes_40
magnet="magnet:?xt=urn:btih:$(od -An -N20 -tx1 /dev/urandom | tr -d ' \n')"
check "announce in the first" announces
check "37 of them go at once" becomes_3
check "one that stays announces again" announces
for round in 1 2 3; do
  check "resolve among those that stay, $round" resolves in_node 1
  check "an unannounced link is not found, $round" finds_nothing
  sleep 20
done
