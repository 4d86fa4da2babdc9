# syntax=docker/dockerfile:1
# freshet as an image: built with what librdkafka and the C libraries need, run without any of it
# and not as root. A release build; on two cores it takes three quarters of an hour.
FROM rust:1.95-slim-bookworm AS build
RUN apt-get update \
    && apt-get install -y --no-install-recommends gcc g++ make perl pkg-config zlib1g-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /build
COPY . .
# The compiled crates stay in a cache of the builder: a change of ours compiles ours alone.
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/build/target \
    cargo build --release --locked --bin freshet \
    && cp target/release/freshet /usr/local/bin/freshet

FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates zlib1g \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --home-dir /var/lib/freshet --create-home freshet
COPY --from=build /usr/local/bin/freshet /usr/local/bin/freshet
USER freshet
WORKDIR /var/lib/freshet
# SIGTERM is the word to end; freshet is process 1 and gets it itself.
STOPSIGNAL SIGTERM
ENTRYPOINT ["freshet"]
CMD ["--help"]
