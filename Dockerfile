# docker build -t amqpost .
# docker run -p 127.0.0.1:8080:8080 -v amqpost-data:/data \
#     -e AMQPOST_BROKER_URL=amqp://user:password@broker:5672/%2f \
#     -e AMQPOST_API_KEYS=name:a-key-of-sixteen-or-more amqpost
#
# In a container the gateway listens on all addresses, so it starts only with keys, or when
# AMQPOST_ALLOW_ANONYMOUS=true says that whoever reaches the port may publish.

FROM rust:1.95-slim-bookworm AS build
RUN apt-get update \
    && apt-get install -y --no-install-recommends gcc libc6-dev make pkg-config \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /build
COPY . .
RUN cargo build --release --locked --bin amqpost

FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --home-dir /data --shell /usr/sbin/nologin amqpost \
    && install -d -o amqpost -g amqpost /data
COPY --from=build /build/target/release/amqpost /usr/local/bin/amqpost
USER 10001
WORKDIR /data
ENV AMQPOST_LISTEN=0.0.0.0:8080 \
    AMQPOST_STORE_URL=sqlite:/data/amqpost.db
VOLUME /data
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
    CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/8080 && printf 'GET /healthz HTTP/1.1\\r\\nHost: 127.0.0.1\\r\\nConnection: close\\r\\n\\r\\n' >&3 && read -r _ status _ <&3 && [ \"$status\" = 200 ]"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["amqpost"]
CMD ["serve"]
