# GhostNet for inference on a CPU, without MindSpore:
#   docker build -t ghostnet . && docker run --rm -v "$PWD:/images:ro" ghostnet predict cat.jpg
# and as a server:
#   docker build --target serve -t ghostnet-serve . && docker run --rm -p 127.0.0.1:8080:8080 ghostnet-serve
FROM python:3.12-slim AS build
RUN apt-get update && apt-get install --yes --no-install-recommends g++
COPY requirements/inference.txt /source/requirements/
RUN python -m venv /ghostnet && /ghostnet/bin/pip install --no-cache-dir -r /source/requirements/inference.txt
COPY . /source
RUN /ghostnet/bin/pip install --no-cache-dir --no-deps /source

FROM build AS build-serve
RUN /ghostnet/bin/pip install --no-cache-dir -r /source/requirements/serve.txt && \
    /ghostnet/bin/pip uninstall --yes pip

FROM build AS build-predict
RUN /ghostnet/bin/pip uninstall --yes pip

FROM python:3.12-slim AS base
RUN useradd --create-home --uid 1000 ghostnet
USER 1000
WORKDIR /images
ENTRYPOINT ["/ghostnet/bin/ghostnet"]

FROM base AS serve
COPY --from=build-serve /ghostnet /ghostnet
EXPOSE 8080
CMD ["serve", "--host", "0.0.0.0"]

FROM base
COPY --from=build-predict /ghostnet /ghostnet
CMD ["--help"]
