# One image for all roles: `docker run IMAGE run dispatcher`. The base image can be another: --build-arg PYTHON_IMAGE=...
ARG PYTHON_IMAGE=python:3.11-slim

FROM ${PYTHON_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/avito-gateway
WORKDIR /src
# The dependencies are a layer of their own, so a change of the code does not fetch them again.
# With what traces need: --build-arg LOCK=otel
ARG LOCK=runtime
COPY requirements/${LOCK}.txt requirements/
RUN /opt/avito-gateway/bin/python -m pip install --require-hashes -r requirements/${LOCK}.txt
COPY LICENSE README.md pyproject.toml ./
COPY common common
COPY dispatcher dispatcher
COPY forwarder forwarder
COPY gateway gateway
COPY ingress ingress
COPY sandbox sandbox
RUN /opt/avito-gateway/bin/python -m pip install --no-deps --no-build-isolation .

FROM ${PYTHON_IMAGE}
# /data is for the embedded server, when there is no REDIS_URL: mount a volume there.
RUN groupadd --gid 10001 gateway \
    && useradd --uid 10001 --gid gateway --no-create-home --home-dir /data --shell /usr/sbin/nologin gateway \
    && install -d -o gateway -g gateway -m 700 /data
COPY --from=build /opt/avito-gateway /opt/avito-gateway
ENV PATH=/opt/avito-gateway/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 DATA_DIR=/data
USER 10001:10001
WORKDIR /data
EXPOSE 8765
# The ingress, or all roles in one. A container with workers alone asks for `worker` (see docker-compose.yml).
HEALTHCHECK --interval=30s --timeout=10s --start-period=20s --retries=3 CMD ["python", "-m", "gateway.healthcheck", "ingress"]
ENTRYPOINT ["avito-gateway"]
CMD ["run"]
