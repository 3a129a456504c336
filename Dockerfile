# The images of Slipway, by --target: control-plane, operator, runtime.
# BASE is any image with Python 3.11 or newer and its venv module, such as one made by debootstrap:
#   buildah build --build-arg BASE=registry.example.com/debian-python:12 --target operator -t … .
# Nothing here names a registry or an index; pip reads those from the environment of the build.
ARG BASE
FROM ${BASE} AS base
ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 PATH=/opt/slipway/bin:$PATH
RUN python3 -m venv /opt/slipway \
 && printf 'slipway:x:10001:10001::/tmp:/usr/sbin/nologin\n' >> /etc/passwd \
 && printf 'slipway:x:10001:\n' >> /etc/group

FROM base AS operator
COPY requirements-operator.lock /tmp/
RUN pip install --no-cache-dir --require-hashes -r /tmp/requirements-operator.lock && rm /tmp/*.lock
COPY platform/slipway_contracts /opt/slipway/app/slipway_contracts
COPY operators/slipway_operator /opt/slipway/app/slipway_operator
ENV PYTHONPATH=/opt/slipway/app
USER 10001:10001
ENTRYPOINT ["python", "-m", "slipway_operator"]

# What the control plane needs is a tenth of what trains and serves.
FROM base AS control-plane
COPY requirements-control-plane.lock /tmp/
RUN pip install --no-cache-dir --require-hashes -r /tmp/requirements-control-plane.lock && rm /tmp/*.lock
# The console is built before, by `make console`.
COPY frontend/dist /opt/slipway/frontend/dist
COPY platform /opt/slipway/app
ENV PYTHONPATH=/opt/slipway/app DJANGO_SETTINGS_MODULE=slipway.settings
USER 10001:10001
CMD ["uvicorn", "slipway.asgi:application", "--http", "slipway.asgi:Protocol", "--host", "0.0.0.0", "--port", "8000"]

FROM base AS runtime
COPY requirements.lock /tmp/
RUN pip install --no-cache-dir --require-hashes -r /tmp/requirements.lock && rm /tmp/*.lock
COPY platform/slipway_contracts /opt/slipway/app/slipway_contracts
COPY platform/slipway_sandbox /opt/slipway/app/slipway_sandbox
COPY platform/slipway_runtime /opt/slipway/app/slipway_runtime
ENV PYTHONPATH=/opt/slipway/app
USER 10001:10001
# KubeRay starts Ray by a shell command of its own.
CMD ["ray", "--version"]
