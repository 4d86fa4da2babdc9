#!/bin/sh
# Makes a bucket: make-bucket.sh URL BUCKET. Keys come from MINIO_ROOT_USER and MINIO_ROOT_PASSWORD.
# A bucket that is there already counts as made; it must never delete or change one.
set -eu

# The keys go in through standard input, so that no list of commands shows them.
status=$(printf 'user = "%s:%s"\n' "$MINIO_ROOT_USER" "$MINIO_ROOT_PASSWORD" |
    curl --config - --silent --show-error --output /dev/null --write-out '%{http_code}' \
        --aws-sigv4 aws:amz:us-east-1:s3 --request PUT "$1/$2")

case $status in
200) echo "bucket $2 made" ;;
409) echo "bucket $2 is there already" ;;
*) echo "bucket $2 could not be made: $1 answered $status" >&2 && exit 1 ;;
esac
