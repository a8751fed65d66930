# shellcheck shell=bash disable=SC2154
# Part of run.sh: where a node listens in other networks than compose's, and whose data directory it takes.

key_a=$(sed -n 's/.*\.10:14400=\([0-9a-f]*\)$/\1/p' compose.yaml)
seed_a=$(sed -n 's/.*DEUT_TEST_RELAY_KEY: \(bootstrap-a.*\)/\1/p' compose.yaml)

# node NAME OPTION...: starts a container of the image, to be removed at the end.
node() {
  local name=$project-$1
  shift
  docker run -d --init --name "$name" --ulimit nofile=4096 "$@" "$image" >/dev/null && containers+=("$name")
}
network() {
  local name=$project-$1
  shift
  docker network create --internal "$@" "$name" >/dev/null && networks+=("$name")
}
# listens_on NAME BEGINNING: ready, and its address begins so.
listens_on() {
  are_ready "$project-$1" && answer docker exec "$project-$1" deut status --json && [[ $(field local_address) == "$2"* ]]
}

# The peers are IPv6, what `hostname -i` says first is not.
# Written as the node will write it: no group begins with a zero or is one.
dual=$(printf 'fd%02x:%x::' $((RANDOM % 256)) $((RANDOM % 32767 + 1)))
has_ipv6() { [ "$(docker run --rm --network "$project-dual" --entrypoint cat "$image" /proc/sys/net/ipv6/conf/eth0/disable_ipv6 2>/dev/null)" = 0 ]; }
joins_by_ipv6() {
  local environment=(-e DEUT_TEST_NETWORK=dual -e "DEUT_PEERS=[${dual}10]:14400=$key_a")
  node dual-a --network "$project-dual" --ip6 "${dual}10" -e "DEUT_TEST_RELAY_KEY=$seed_a" "${environment[@]}" || return 1
  for number in 1 2 3; do node "dual-$number" --network "$project-dual" "${environment[@]}" || return 1; done
  listens_on dual-a "[${dual}10]:14400" && listens_on dual-1 "[$dual" && listens_on dual-2 "[$dual" && listens_on dual-3 "[$dual"
}
if network dual --ipv6 --subnet "${dual}/64" && has_ipv6; then
  check "a dual-stack network is joined by the family of its peers" joins_by_ipv6
else
  say "left out: the engine makes no IPv6 network here"
fi

peers=(-e DEUT_TEST_NETWORK=containers -e "DEUT_PEERS=$DEUT_SUBNET.10:14400=$key_a")
# The other network comes first, by name and by time.
joins_from_two_networks() {
  network a-other && docker create --init --name "$project-two" --ulimit nofile=4096 --network "$project-a-other" "${peers[@]}" "$image" \
    >/dev/null && containers+=("$project-two") && docker network connect "${project}_deut" "$project-two" \
    && docker start "$project-two" >/dev/null && listens_on two "$DEUT_SUBNET."
}
check "of two networks that of the peers is taken" joins_from_two_networks

joins_from_the_host() { node host --network host -e DEUT_PORT=14500 "${peers[@]}" && listens_on host "$DEUT_SUBNET.1:14500"; }
if docker info -f '{{.OperatingSystem}}' | grep -qi desktop; then
  say "left out: the host's network is another machine's here"
else
  check "a node in the host's network listens where its peers are" joins_from_the_host
fi

# Exit code 13, and in words whose it must be.
refuses_another_user() {
  docker run --rm --user 4321 --network "${project}_deut" "${peers[@]}" "$image" >"$work/answer" 2>"$work/errors"
  [ $? = 13 ] && grep -q '^error: /data' "$work/errors" && grep -q '^hint: \|; ' "$work/errors"
}
check "a data directory of another user is refused by deut itself" refuses_another_user
takes_its_own() {
  node owner --user 4321 --tmpfs /data:uid=4321,mode=700 --network "${project}_deut" "${peers[@]}" && listens_on owner "$DEUT_SUBNET."
}
check "a directory of its own the same user may use" takes_its_own
docker rm -f -v "${containers[@]}" >/dev/null 2>&1
containers=()
