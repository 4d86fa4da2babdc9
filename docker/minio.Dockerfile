# MinIO, built from the source that the native tests run: its makers publish no images any more, and
# the last one they did publish lacks a year of fixes. A server beside us, never linked; AGPL.
FROM golang:1.26-bookworm AS build
ARG MINIO_VERSION
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 GOBIN=/out go install -trimpath -ldflags='-s -w' \
    "github.com/minio/minio@${MINIO_VERSION:?}"

FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates curl \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10002 --home-dir /objects --create-home minio
COPY --from=build /out/minio /usr/local/bin/minio
USER minio
VOLUME /objects
EXPOSE 9000
ENV MINIO_BROWSER=off
ENTRYPOINT ["minio", "server", "/objects", "--address", ":9000"]
