"""The real servers, natively on loopback: PostgreSQL, Kafka, Connect with Debezium, MinIO.

One class per server, each with start, stop, restart and kill, a folder and a port of its own, and a
log file. Nothing here knows Freshet: tests join the two.
"""
