# The mock as an image; a second target, the clinic's agent. docs/deploy.md has the commands.
#
#     docker build -t realtape .                     # the mock
#     docker build -t clinic --target clinic .       # the clinic's page and HTTP service
#
# Every option is an environment variable: REALTAPE_SERVE_SCENARIO is --scenario of `serve`.
FROM python:3.13-slim AS installed
WORKDIR /src
COPY . .
RUN python -m venv /opt/realtape \
    && /opt/realtape/bin/pip install --no-cache-dir --constraint constraints.txt ".[speech,fleet]"

FROM installed AS with-app
RUN /opt/realtape/bin/pip install --no-cache-dir --constraint constraints.txt ".[app]"

FROM python:3.13-slim AS clinic
COPY --from=with-app /opt/realtape /opt/realtape
RUN useradd --system --uid 10001 clinic && mkdir /data && chown clinic /data
ENV PATH=/opt/realtape/bin:$PATH CLINIC_DATA=/data PYTHONUNBUFFERED=1
USER 10001
VOLUME /data
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8080/healthz', timeout=2)"]
ENTRYPOINT ["realtape"]
CMD ["clinic", "serve", "--host", "0.0.0.0"]

FROM python:3.13-slim AS mock
COPY --from=installed /opt/realtape /opt/realtape
RUN useradd --system --uid 10001 realtape
ENV PATH=/opt/realtape/bin:$PATH REALTAPE_SERVE_HOST=0.0.0.0 PYTHONUNBUFFERED=1
USER 10001
EXPOSE 8765
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8765/healthz', timeout=2)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["realtape"]
CMD ["serve"]
