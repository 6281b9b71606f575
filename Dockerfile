# docker build -t amqpost .
# docker run --read-only -p 127.0.0.1:8080:8080 -v amqpost-data:/data \
#     -e AMQPOST_BROKER_URL=amqp://user:password@broker:5672/%2f \
#     -e AMQPOST_API_KEYS=name:a-key-of-sixteen-or-more amqpost
#
# In a container the gateway listens on all addresses, so it starts only with keys, or when
# AMQPOST_ALLOW_ANONYMOUS=true says that whoever reaches the port may publish. Secrets can come from files:
# AMQPOST_BROKER_URL_FILE, AMQPOST_API_KEYS_FILE and so on. scripts/check-deploy runs what stands here.
ARG RUST_VERSION=1.95

FROM rust:${RUST_VERSION}-slim-bookworm AS build
WORKDIR /build
# The dependencies by themselves, in a layer that stays as it is while only the sources change: built for
# an empty program.
COPY .cargo .cargo
COPY Cargo.toml Cargo.lock ./
COPY log_vfs log_vfs
COPY tests/faulty_vfs tests/faulty_vfs
RUN mkdir -p src benches/hot_path examples/bench \
    && echo 'fn main() {}' >src/main.rs \
    && cp src/main.rs benches/hot_path/main.rs \
    && cp src/main.rs examples/bench/main.rs \
    && cp src/main.rs tests/otlp.rs \
    && touch src/lib.rs \
    && cargo build --release --locked --bin amqpost
# The program itself. cargo goes by times, and those of the sources may be older than the empty program's.
COPY src src
RUN touch src/main.rs src/lib.rs \
    && cargo build --release --locked --bin amqpost \
    && install -D target/release/amqpost image/usr/local/bin/amqpost \
    && install -d image/data

# What the program needs and nothing else: the C library of the stage above, certificates of public
# authorities, and a user without rights. No shell and no package manager, so nothing that an intruder could
# use, and nothing else to keep up to date. A static binary on an empty image would be some 20 MB smaller, and
# would need a toolchain for musl and certificates of its own.
FROM gcr.io/distroless/cc-debian12:nonroot
ARG VERSION=0.1.0
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
LABEL org.opencontainers.image.title="amqpost" \
      org.opencontainers.image.description="HTTP publishing gateway for RabbitMQ" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.base.name="gcr.io/distroless/cc-debian12:nonroot"
COPY --from=build /build/image/usr /usr
# A new volume takes its owner from here. It is all that is written to, so the root may be read-only.
COPY --from=build --chown=65532:65532 /build/image/data /data
USER 65532:65532
WORKDIR /data
ENV AMQPOST_LISTEN=0.0.0.0:8080 \
    AMQPOST_STORE_URL=sqlite:/data/amqpost.db
VOLUME /data
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s \
    CMD ["/usr/local/bin/amqpost", "healthcheck"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/local/bin/amqpost"]
CMD ["serve"]
