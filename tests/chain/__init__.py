"""The whole chain on real servers: PostgreSQL -> Debezium -> Kafka -> freshet -> MinIO.

`story` writes and disturbs, `audit` keeps in PostgreSQL what ought to come out, `lake` reads what
did; `capture` takes the topics along, so that they can be replayed where no server is.
"""
