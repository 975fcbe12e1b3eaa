# The host daemon and its command line. Build: docker build -t hostbus .
# docs/broker.md, "In a container", tells how to run it.

ARG NODE_IMAGE=node:24-bookworm-slim

# --- what is published, and the packages that it needs at run time ---------------------------------------------------
FROM ${NODE_IMAGE} AS build
WORKDIR /build
# First what rarely changes, so that a change of the source does not install the packages again.
COPY package.json package-lock.json ./
RUN npm ci --no-audit --no-fund
COPY tsconfig.json tsconfig.build.json ./
COPY schemas schemas
COPY src src
RUN npm run build && npm prune --omit=dev --no-audit --no-fund

# --- what runs ---------------------------------------------------------------------------------------------------------
FROM ${NODE_IMAGE}
RUN apt-get update \
 && apt-get install -y --no-install-recommends qemu-utils \
 && rm -rf /var/lib/apt/lists/* \
 && groupadd --gid 10036 hostbus \
 && useradd --uid 10036 --gid hostbus --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin hostbus

WORKDIR /opt/hostbus
COPY --from=build /build/package.json ./
COPY --from=build /build/node_modules node_modules
COPY --from=build /build/schemas schemas
COPY --from=build /build/dist dist
RUN chmod 755 dist/src/bin/hostbus.js dist/src/bin/hostbusd.js \
 && ln -s /opt/hostbus/dist/src/bin/hostbus.js /usr/local/bin/hostbus \
 && ln -s /opt/hostbus/dist/src/bin/hostbusd.js /usr/local/bin/hostbusd

ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="hostbus" \
      org.opencontainers.image.description="A crash-only host daemon that serves JSON-RPC over RabbitMQ" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}"

ENV NODE_ENV=production \
    UV_THREADPOOL_SIZE=256
# Storage is shared with other hosts: run with --user where its files belong to other IDs.
USER hostbus:hostbus

# The daemon stops in good order on SIGTERM; SIGKILL loses nothing that this would have kept.
STOPSIGNAL SIGTERM

# A call through the broker and back. HOSTBUS_URL is a broker user who may send requests, with access "read": the
# daemon's own user may not. Without HOSTBUS_URL the daemon's HOSTBUS_BROKER_URL is used, for brokers without permissions.
HEALTHCHECK --interval=30s --timeout=10s --start-period=15s --retries=3 \
  CMD hostbus call "$HOSTBUS_HOST_ID" ping --json --timeout 8 >/dev/null

ENTRYPOINT ["hostbusd"]
