# GhostNet for inference on a CPU, without MindSpore:
#   docker build -t ghostnet . && docker run --rm -v "$PWD:/images:ro" ghostnet predict cat.jpg
FROM python:3.12-slim AS build
RUN apt-get update && apt-get install --yes --no-install-recommends g++
COPY requirements/inference.txt /source/requirements/
RUN python -m venv /ghostnet && /ghostnet/bin/pip install --no-cache-dir -r /source/requirements/inference.txt
COPY . /source
RUN /ghostnet/bin/pip install --no-cache-dir --no-deps /source && /ghostnet/bin/pip uninstall --yes pip

FROM python:3.12-slim
COPY --from=build /ghostnet /ghostnet
RUN useradd --create-home ghostnet
USER ghostnet
WORKDIR /images
ENTRYPOINT ["/ghostnet/bin/ghostnet"]
CMD ["--help"]
