"""Private servers: a Postgres and a Valkey that `stonetown serve` starts and keeps when the
environment names no real ones. They listen on unix sockets alone, in a directory of their owner."""
