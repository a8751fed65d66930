# deut in a container. Builds with the classic builder, BuildKit and podman.
#   docker build -t deut .
# A binary that was built elsewhere goes into the same runtime by Dockerfile.prebuilt in tests/containers.
ARG BUILD_IMAGE=rust:1-bookworm
ARG RUNTIME_IMAGE=debian:bookworm-slim

FROM ${BUILD_IMAGE} AS build
WORKDIR /src
COPY . .
RUN cargo build --release --locked -p deut-cli && strip -o /deut target/release/deut

FROM ${RUNTIME_IMAGE} AS runtime
COPY --from=build /deut /usr/local/bin/deut
COPY tests/containers/entrypoint.sh /usr/local/bin/deut-entrypoint
RUN useradd --system --uid 10001 --home-dir /data --shell /usr/sbin/nologin deut \
    && mkdir /data && chown deut /data && chmod 0755 /usr/local/bin/deut-entrypoint
USER 10001
# The relay's key and the verified relays live here, and the control socket, which is why XDG_DATA_HOME is set for `docker exec`.
ENV XDG_DATA_HOME=/data
WORKDIR /data
VOLUME /data
EXPOSE 14400/udp
# The check itself is cheap, to start a process in a container is not. Newer engines look every 5 s in the first minute.
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 CMD ["deut", "status", "--ready"]
ENTRYPOINT ["deut-entrypoint"]
CMD ["run"]
