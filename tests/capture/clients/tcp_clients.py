"""Protocols that are not HTTP: databases, and a server that speaks first."""

import asyncio

import psycopg
import redis

from trying import SETTINGS, Untried, connected, run, same

DATABASE = "postgresql://postgres@db/postgres?connect_timeout=30"
ROWS = 5000


def database():
    if "db" not in SETTINGS["services"]:
        raise Untried("there is no PostgreSQL")
    return DATABASE


def cache():
    if "cache" not in SETTINGS["services"]:
        raise Untried("there is no Redis")
    return redis.Redis.from_url("redis://cache", socket_timeout=30, socket_connect_timeout=30)


def with_psycopg():
    with psycopg.connect(database()) as connection:
        rows = connection.execute("select n, repeat('x', 1000) from generate_series(1, %s) n", [ROWS]).fetchall()
        same(len(rows), ROWS)
        same(rows[-1], (ROWS, "x" * 1000))


def with_a_copy_of_psycopg():
    with psycopg.connect(database()) as connection, connection.cursor() as cursor:
        cursor.execute("create temporary table t (n int, text text)")
        with cursor.copy("copy t from stdin") as copy:
            for n in range(ROWS):
                copy.write_row((n, "y" * 500))
        with cursor.copy("copy t to stdout") as copy:
            same(sum(1 for _ in copy.rows()), ROWS)


def with_psycopg_async():
    async def main():
        async with await psycopg.AsyncConnection.connect(database()) as connection:
            answer = await (await connection.execute("select 6 * 7")).fetchone()
            same(answer, (42,))

    asyncio.run(main())


def with_redis():
    with cache() as client:
        key = f"large-{SETTINGS['mode']}"
        client.set(key, b"z" * 1_000_000)
        same(client.get(key), b"z" * 1_000_000)
        pipeline = client.pipeline()
        for _ in range(100):
            pipeline.incr(f"count-{SETTINGS['mode']}")
        same(pipeline.execute()[-1] % 100, 0)


def with_redis_subscription():
    channel = f"news-{SETTINGS['mode']}"
    with cache() as client, client.pubsub() as subscription:
        subscription.subscribe(channel)
        same(subscription.get_message(timeout=30)["type"], "subscribe")
        client.publish(channel, "hello")
        same(subscription.get_message(timeout=30)["data"], b"hello")


def greeted_by(service):
    with connected(7000, service) as connection, connection.makefile("rwb") as stream:
        same(stream.readline(), f"hello from {service}\n".encode())
        stream.write(b"how are you?\n")
        stream.flush()
        same(stream.readline(), b"how are you?\n")


def two_services_with_the_same_port():
    for _ in range(3):
        greeted_by("greeter-a")
        greeted_by("greeter-b")


run(
    {
        "psycopg (libpq), large results": with_psycopg,
        "psycopg, `COPY`": with_a_copy_of_psycopg,
        "psycopg, async": with_psycopg_async,
        "redis-py": with_redis,
        "redis-py, publish and subscribe": with_redis_subscription,
        "a server that speaks first": lambda: greeted_by("greeter-a"),
        "two TCP services with the same port": two_services_with_the_same_port,
    }
)
