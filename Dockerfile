# The service with the extras of the formats but geo, on an image without PyTorch. Everything is read-only but /state.
#   docker build -t noiseless .
#   docker run --read-only --tmpfs /tmp -v noiseless:/state -e NOISELESS_TOKEN=... -p 8000:8000 noiseless
FROM python:3.11-slim
WORKDIR /build
COPY pyproject.toml README.md LICENSE constraints.txt ./
COPY src src
RUN pip install --no-cache-dir -c constraints.txt ".[serve,medical,raw,exr,heif,video,microscopy]" && rm -rf /build \
    && useradd --system --uid 10001 noiseless && mkdir /state && chown noiseless /state
WORKDIR /
USER noiseless
ENV PYTHONDONTWRITEBYTECODE=1 XDG_CACHE_HOME=/tmp
VOLUME /state
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
CMD ["noiseless", "serve", "--host", "0.0.0.0", "--port", "8000", "--state", "/state"]
