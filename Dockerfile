# The service, and the gate: `docker run --rm -v ./probes.yaml:/etc/sonde/probes.yaml:ro sonde smoke`.
# Debian and not Alpine: google-re2 has no wheel for musl. No shell is needed at run time.

FROM python:3.13-slim AS build
# what `pip install sonde[...]` takes, comma-separated; empty: the core alone
ARG EXTRAS=standard
ENV UV_PYTHON_DOWNLOADS=never \
    UV_LINK_MODE=copy \
    UV_COMPILE_BYTECODE=1 \
    UV_PROJECT_ENVIRONMENT=/opt/sonde
WORKDIR /src
COPY scripts/uv.txt scripts/uv.txt
RUN pip install --no-cache-dir --require-hashes -r scripts/uv.txt
# the dependencies first: they change less often than the code
COPY pyproject.toml uv.lock README.md LICENSE ./
RUN uv sync --frozen --no-default-groups --no-install-project \
    $(echo "$EXTRAS" | tr ',' '\n' | sed -n 's/^\(..*\)$/--extra \1/p')
COPY probes probes
COPY scenarios scenarios
COPY exporter exporter
RUN uv sync --frozen --no-default-groups --no-editable \
    $(echo "$EXTRAS" | tr ',' '\n' | sed -n 's/^\(..*\)$/--extra \1/p')
RUN install -d -o 65532 -g 65532 /data

FROM python:3.13-slim AS base
LABEL org.opencontainers.image.title="sonde" \
      org.opencontainers.image.description="Synthetic checks and load probes from one file" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/sonde /opt/sonde
# the only writable place, for what is to survive a restart; everything else works read-only
COPY --from=build --chown=65532:65532 /data /data
COPY probes.yaml /etc/sonde/probes.yaml
ENV PATH=/opt/sonde/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    SONDE_LISTEN=0.0.0.0:9115
# a number, so that Kubernetes can see that it is not root
USER 65532:65532
WORKDIR /data
EXPOSE 9115
# drains for up to 10 s: give it `docker stop --time 15`
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s \
    CMD ["/opt/sonde/bin/sonde", "probe", "http", "http://127.0.0.1:9115/-/healthy", "--timeout", "4s"]
ENTRYPOINT ["/opt/sonde/bin/sonde"]
# arguments of blackbox_exporter, such as --config.file, may stand here without "run"
CMD ["run"]

# With Chromium, for probes of kind `browser` (350 MB more):
#   docker build --target browser --build-arg EXTRAS=standard,browser -t sonde:browser .
# Chromium's sandbox makes user namespaces, which Docker's own seccomp profile forbids: give one that
# allows clone and unshare with CLONE_NEWUSER (`--security-opt seccomp=FILE`), or write
# `sandbox: false` in the journey and let the container be the wall. HOME holds a profile for the
# length of a run: with a read-only root, mount a tmpfs on /tmp. `--init` reaps what a killed browser
# leaves behind.
FROM base AS browser
USER root
RUN apt-get update -qq \
    && apt-get install -y -qq --no-install-recommends chromium fonts-liberation \
    && rm -rf /var/lib/apt/lists/*
ENV HOME=/tmp
USER 65532:65532

# the last stage is what `docker build .` makes
FROM base
