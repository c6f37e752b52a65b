# The clinic's page and HTTP service. The voice service it calls comes with the environment: XAI_API_KEY for the live one,
# XAI_REALTIME_URL for another. Bookings and transcripts are in /data; mount it to keep them.
#
#     docker build -t clinic .
#     docker run -p 127.0.0.1:8080:8080 -v clinic:/data -e XAI_API_KEY clinic
#
# The mock is in it as well: docker run -p 127.0.0.1:8765:8765 clinic serve --host 0.0.0.0
FROM python:3.13-slim
WORKDIR /app
COPY . .
RUN pip install --no-cache-dir --constraint constraints.txt ".[app,speech]" \
    && useradd --system clinic && mkdir /data && chown clinic /data
USER clinic
ENV CLINIC_DATA=/data
VOLUME /data
EXPOSE 8080
ENTRYPOINT ["realtape"]
CMD ["clinic", "serve", "--host", "0.0.0.0"]
