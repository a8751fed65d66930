#!/usr/bin/env bash
# The test network of compose.yaml, put to the test: 12 nodes in containers; one announces a magnet link, another and a
# short-lived client resolve it; containers in a dual-stack network, in two networks, in the host's network and under
# another user; one crashes; two nodes, the announcer among them, are killed; it is looked for again.
#
#   tests/containers/run.sh           the image is made from a binary that the host builds (or DEUT_BINARY)
#   FULL=1 tests/containers/run.sh    the image is built by the multi-stage Dockerfile
#   MANY=1 tests/containers/run.sh    then also 40 nodes, of which 37 go at once (some minutes)
#
# Base images: the local debian:bookworm-slim (FULL=1: rust:1-bookworm too); else, as root where debootstrap is
# installed, made from Debian's packages; else pulled.
# All traffic stays on one network without a way out. Whatever the script started or built is removed at the end, also
# after a failure. Exit code: 0 passed, 1 failed, 77 skipped because no Docker engine or no compose is there.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1

say() { printf '%4d s  %s\n' "$SECONDS" "$*"; }
die() { say "FAILED: $*"; exit 1; }
skip() { echo "skipped: $*"; exit 77; }

command -v docker >/dev/null || skip "docker is not installed"
timeout 20 docker info >/dev/null 2>&1 || skip "no Docker engine answers"
if docker compose version >/dev/null 2>&1; then
  compose_command=(docker compose)
elif command -v docker-compose >/dev/null; then
  compose_command=(docker-compose)
else
  skip "neither docker compose nor docker-compose is installed"
fi

project=deut-test-$$
work=$(mktemp -d)
cache=${DEUT_IMAGE_CACHE:-${CARGO_TARGET_DIR:-target}/containers}
images=()
# Beside those of compose.
containers=()
volumes=()
networks=()
started=no
passed=0
failures=0
compose() { "${compose_command[@]}" -p "$project" -f compose.yaml "$@"; }

clean_up() {
  local code=$? one
  trap - EXIT
  if [ "$started" = yes ]; then
    if [ "$code" != 0 ] || [ "$failures" != 0 ]; then
      echo "--- the last lines of each node"
      compose logs --tail=8 --no-color 2>&1 | tail -120
      for one in "${containers[@]}"; do echo "--- $one"; docker logs --tail=8 "$one" 2>&1; done
    fi
    [ ${#containers[@]} = 0 ] || docker rm -f -v "${containers[@]}" >/dev/null 2>&1
    for one in "${networks[@]}"; do docker network rm "$one" >/dev/null 2>&1; done
    compose --profile tools down -v -t 1 >/dev/null 2>&1 || compose down -v -t 1 >/dev/null 2>&1
    [ ${#volumes[@]} = 0 ] || docker volume rm -f "${volumes[@]}" >/dev/null 2>&1
  fi
  # The last one first: an image with children is only untagged.
  local number
  for ((number = ${#images[@]} - 1; number >= 0; number--)); do docker rmi "${images[number]}" >/dev/null 2>&1; done
  rm -rf "$work"
  exit "$code"
}
trap clean_up EXIT
trap 'exit 130' INT TERM HUP

# --- images

have_image() { docker image inspect "$1" >/dev/null 2>&1; }
can_bootstrap() { [ "$(id -u)" = 0 ] && command -v debootstrap >/dev/null; }

# made_from_packages TAG TARBALL PACKAGES: imports a system made of Debian's packages; the tarball is kept for the next run.
made_from_packages() {
  local tag=$1 tarball=$2 packages=$3
  if [ ! -s "$tarball" ]; then
    say "making $tag from Debian's packages"
    mkdir -p "$cache"
    debootstrap --variant=minbase ${packages:+--include="$packages"} bookworm "$work/system" >"$work/debootstrap.log" 2>&1 \
      || { tail -5 "$work/debootstrap.log"; die "debootstrap"; }
    rm -rf "$work"/system/var/cache/apt/archives/*.deb "$work"/system/var/lib/apt/lists/*
    tar -C "$work/system" -c . >"$tarball.new" || die "the base image cannot be packed"
    mv "$tarball.new" "$tarball"
    rm -rf "$work/system"
  fi
  docker import "$tarball" "$tag" >/dev/null || die "the base image cannot be imported"
  images+=("$tag")
}

runtime_image() {
  runtime=debian:bookworm-slim
  have_image "$runtime" && return
  if can_bootstrap; then
    runtime=deut-test-runtime:$project
    made_from_packages "$runtime" "$cache/runtime.tar" ""
  else
    timeout 300 docker pull -q "$runtime" >/dev/null || die "$runtime is not here and cannot be pulled; as root with debootstrap it would be made"
  fi
}

# A stand-in for rust:1-bookworm: Debian's C compiler and this machine's Rust toolchain.
build_image() {
  builder=rust:1-bookworm
  have_image "$builder" && return
  if can_bootstrap; then
    made_from_packages "deut-test-cc:$project" "$cache/cc.tar" gcc,libc6-dev,ca-certificates
    builder=deut-test-rust:$project
    local toolchain
    toolchain=$(rustc --print sysroot) || die "no Rust toolchain"
    mkdir "$work/rust"
    tar -C "$toolchain" -c --exclude=share . | tar -C "$work/rust" -x
    cp /etc/ssl/certs/ca-certificates.crt "$work/rust/ca.crt"
    printf '%s\n' "FROM deut-test-cc:$project" "COPY . /opt/rust" "RUN cp /opt/rust/ca.crt /etc/ssl/certs/ca-certificates.crt" \
      "ENV PATH=/opt/rust/bin:/usr/sbin:/usr/bin:/sbin:/bin" >"$work/rust/Dockerfile"
    docker build -q -t "$builder" "$work/rust" >/dev/null || die "the build image"
    images+=("$builder")
    rm -rf "$work/rust"
  else
    timeout 900 docker pull -q "$builder" >/dev/null || die "$builder is not here and cannot be pulled"
  fi
}

full_image() {
  build_image
  say "building the multi-stage Dockerfile"
  # The build stage gets a name too, so that it can be removed.
  local stage name
  for stage in build runtime; do
    if [ $stage = build ]; then name=deut-test-build:$project; else name=$image; fi
    docker build -t "$name" --target $stage --build-arg "BUILD_IMAGE=$builder" --build-arg "RUNTIME_IMAGE=$runtime" . \
      >"$work/build.log" 2>&1 || { tail -30 "$work/build.log"; die "the Dockerfile does not build"; }
    images+=("$name")
  done
}

prebuilt_image() {
  local binary=${DEUT_BINARY:-}
  if [ -z "$binary" ]; then
    say "building the binary"
    cargo build --quiet --release --locked -p deut-cli || die "the binary does not build"
    binary=${CARGO_TARGET_DIR:-target}/release/deut
  fi
  mkdir "$work/context"
  cp "$binary" "$work/context/deut" || die "no binary $binary"
  strip "$work/context/deut" 2>/dev/null
  cp tests/containers/entrypoint.sh tests/containers/Dockerfile.prebuilt "$work/context/"
  docker build -q -t "$image" -f "$work/context/Dockerfile.prebuilt" --build-arg "RUNTIME_IMAGE=$runtime" "$work/context" \
    >"$work/build.log" 2>&1 || { tail -30 "$work/build.log"; die "Dockerfile.prebuilt does not build"; }
  images+=("$image")
}

image=deut-test:$project
runtime_image
if [ "${FULL:-0}" = 1 ]; then
  full_image
else
  prebuilt_image
  if ! docker run --rm --network none "$image" --version >/dev/null 2>&1; then
    say "this machine's binary does not run in the image (another C library?)"
    full_image
  fi
fi
say "image: $(docker run --rm --network none "$image" --version), $(docker image inspect -f '{{.Size}}' "$image" | awk '{printf "%d MB", $1 / 1e6}')"

# --- the network

taken() { docker network ls -q | xargs -r docker network inspect -f '{{range .IPAM.Config}}{{.Subnet}} {{end}}'; ip -4 route 2>/dev/null; }
subnets=$(taken)
for third in $(seq 240 254); do
  DEUT_SUBNET=172.31.$third
  case $subnets in *"$DEUT_SUBNET."*) ;; *) break ;; esac
done
export DEUT_SUBNET DEUT_IMAGE=$image
started=yes
compose up -d --no-build --scale node=10 >"$work/up.log" 2>&1 || { tail -20 "$work/up.log"; die "compose up"; }
mapfile -t nodes < <(compose ps -q node)
mapfile -t all < <(compose ps -q)
say "started ${#all[@]} containers on $DEUT_SUBNET.0/24"
[ "${#all[@]} ${#nodes[@]}" = "12 10" ] || die "12 containers were wanted"

# are_ready NAME...: each says so itself; docker's health check looks every 30 s only.
are_ready() {
  local name code=0 waiting=()
  : >"$work/errors"
  for name; do
    timeout 270 docker exec "$name" deut status --ready --wait 240 >"$work/ready-$name" 2>&1 ||
      { sed "s/^/$name: /" "$work/ready-$name" >>"$work/errors"; false; } &
    waiting+=($!)
  done
  for name in "${waiting[@]}"; do wait "$name" || code=1; done
  return $code
}
are_ready "${all[@]}" || die "not all of 12 nodes became ready"
say "12 nodes are ready"

# --- the story

in_node() { local number=$1; shift; timeout 60 docker exec "${nodes[number]}" deut "$@"; }
client() { timeout 90 "${compose_command[@]}" -p "$project" -f compose.yaml run --rm -T client "$@"; }

# check NAME COMMAND...: the command must succeed.
check() {
  local name=$1 from=$SECONDS
  shift
  if "$@"; then
    say "ok: $name ($((SECONDS - from)) s)"; passed=$((passed + 1))
  else
    say "FAILED: $name"; sed 's/^/        /' "$work/answer" "$work/errors" 2>/dev/null | cut -c1-400
    failures=$((failures + 1))
  fi
}
answer() { "$@" >"$work/answer" 2>"$work/errors"; }
field() { sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p" "$work/answer" | head -1; }

infohash=$(od -An -N20 -tx1 /dev/urandom | tr -d ' \n')
magnet="magnet:?xt=urn:btih:$infohash"
unknown="magnet:?xt=urn:btih:$(od -An -N20 -tx1 /dev/urandom | tr -d ' \n')"
value="a value of $project"

# Ready means that tunnels stand; a record is safe once the announcer knows some of the nodes that could keep it.
knows_others() {
  local known
  for _ in $(seq 60); do
    answer in_node 0 status --json
    known=$(sed -n 's/.*"table_live":\([0-9]*\).*/\1/p' "$work/answer")
    [ "${known:-0}" -ge 6 ] && return 0
    sleep 1
  done
  return 1
}
runs_unprivileged() { [ "$(docker exec "${nodes[0]}" id -u)" = 10001 ]; }
has_no_way_out() { [ "$(docker network inspect -f '{{.Internal}}' "${project}_deut")" = true ]; }
knows_its_peers() { ! compose logs --no-color 2>&1 | grep -m1 -F 'have no key' >"$work/answer"; }
announces() { answer in_node 0 announce "$magnet" --json && persona=$(field announced) && persona=${persona#persona } && [ ${#persona} = 64 ]; }
# The announcer with an address, and it answered there.
resolves() {
  answer "$@" get "$magnet" --json && tell_persona | grep -q '"addresses":\["' && tell_persona | grep -q '"reachable":true'
}
# What the answer says about the announcer.
tell_persona() { grep -o "{\"kind\":\"persona\",\"key\":\"$persona\"[^}]*}" "$work/answer"; }
# The announcement outlives its announcer, the only one: 16, none that can be reached (8 where a lookup missed the record,
# which is asked for again). That a dead one is told as one that answers is never excused.
is_gone() {
  local code
  for _ in $(seq 30); do
    answer "$@" get "$magnet" --json
    code=$?
    ! grep -q '"reachable":true' "$work/answer" || return 1
    [ $code = 16 ] && [ -n "$(tell_persona)" ] && return 0
    [ $code = 8 ] || { say "    get ended with $code"; return 1; }
    sleep 1
  done
  return 1
}
finds_nothing() { answer in_node 1 get "$unknown" --json; [ $? = 8 ]; }
puts() { answer in_node 2 put "$value" --json && key=$(field key) && [ ${#key} = 40 ]; }
gets() { answer in_node 5 get "$key" --json && [ "$(field value_text)" = "$value" ]; }
# Everything in the container dies; it has to come back as the same node.
comes_back() {
  local container before
  container=$(compose ps -q bootstrap-b)
  before=$(docker exec "$container" deut bootstrap-line)
  docker exec -u 0 "$container" sh -c 'kill -9 -1' >/dev/null 2>&1
  for _ in $(seq 60); do
    [ "$(docker inspect -f '{{.RestartCount}} {{.State.Running}}' "$container")" = "1 true" ] && break
    sleep 0.5
  done
  for _ in $(seq 20); do are_ready "$container" && break; sleep 0.5; done
  answer docker exec "$container" deut bootstrap-line && [ -n "$before" ] && [ "$before" = "$(cat "$work/answer")" ]
}
kills() { docker kill "${nodes[0]}" "${nodes[3]}" >/dev/null; }
# The engine's own view, which comes late; those that were killed do not count.
is_told_healthy() {
  local end=$((SECONDS + 60)) left
  mapfile -t left < <(compose ps -q bootstrap-a; printf '%s\n' "${nodes[@]:4}")
  while [ "$(docker inspect -f '{{.State.Health.Status}}' "${left[@]}" | grep -cx healthy)" != ${#left[@]} ]; do
    [ $SECONDS -lt $end ] || return 1
    sleep 1
  done
}

check "the nodes run without privileges" runs_unprivileged
check "the network has no way out" has_no_way_out
check "every node knows its peers by their keys" knows_its_peers
check "the announcer knows half of the others" knows_others
check "announce in one container" announces
say "    stored at $(sed -n 's/.*"stored_at":\([0-9]*\).*/\1/p' "$work/answer") nodes"
check "resolve in another" resolves in_node 1
check "resolve in a short-lived client" resolves client
check "an unannounced magnet link is not found" finds_nothing
check "put a value in one container" puts
check "get it in another, byte for byte" gets
# shellcheck source=tests/containers/networks.sh
. tests/containers/networks.sh
check "a node that crashed comes back with its identity" comes_back
check "kill the announcer and one more" kills
check "the announcement is still there, and no address of the dead is told as one that answers" is_gone in_node 1
check "the same in another" is_gone in_node 7
check "the same in a short-lived client" is_gone client
check "the value is still there" gets
check "the engine calls the living nodes healthy" is_told_healthy
if [ "${MANY:-0}" = 1 ]; then
  # shellcheck source=tests/containers/many.sh
  . tests/containers/many.sh
fi

echo "$passed passed, $failures failed"
[ "$failures" = 0 ]
