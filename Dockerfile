# Salient without the embedded PostgreSQL and the local model: set DATABASE_URL.
# To pin it to its content: --build-arg PYTHON_IMAGE=python@sha256:…, as
# `docker buildx imagetools inspect python:3.13-slim` prints it.
ARG PYTHON_IMAGE=python:3.13-slim
FROM ${PYTHON_IMAGE} AS packages
COPY requirements/base.txt /tmp/base.txt
RUN pip install --no-cache-dir --no-deps --require-hashes --prefix /packages -r /tmp/base.txt

FROM ${PYTHON_IMAGE}
ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 HOST=0.0.0.0 PORT=8000
# pg_dump, pg_restore and psql, for `manage.py backup`: no older than the server, so Debian's own, which are of an older
# version, do not do. The script is Debian's; it adds the archive of the PostgreSQL project.
ARG POSTGRES_VERSION=18
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates postgresql-common \
    && /usr/share/postgresql-common/pgdg/apt.postgresql.org.sh -y \
    && apt-get install --yes --no-install-recommends "postgresql-client-${POSTGRES_VERSION}" \
    && rm -rf /var/lib/apt/lists/*
COPY --from=packages /packages /usr/local
RUN useradd --system --uid 10001 --home-dir /app --shell /usr/sbin/nologin salient
WORKDIR /app
COPY . .
# The user below may not write bytecode; without it each process would compile all modules.
RUN python -m compileall -q accounts agents salient sessions_app
# The command needs a key to start; nothing is signed with this one.
RUN SECRET_KEY=collectstatic python manage.py collectstatic --noinput --verbosity 0
USER salient
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s CMD \
  python -c "import os, urllib.request as u; u.urlopen('http://127.0.0.1:' + os.environ['PORT'] + '/healthz', timeout=2)"
CMD ["python", "-m", "salient"]
