# The library and its command: docker build -t fhemb . && docker run --rm fhemb --help
# With networks, films, streams and the curves of trainings, whose wheels are some GB:
# docker build -t fhemb-learn --build-arg EXTRAS=ingest,plot,physio,versions,fast,learn,streams,track,tables .
FROM python:3.11-slim AS build
ARG EXTRAS=ingest,hdf5,plot,physio,versions,fast
COPY . /src
RUN pip wheel --no-cache-dir --wheel-dir /wheels -c /src/constraints.txt "/src[${EXTRAS}]"

FROM python:3.11-slim
ARG EXTRAS=ingest,hdf5,plot,physio,versions,fast
COPY --from=build /wheels /wheels
RUN pip install --no-cache-dir --no-index --find-links /wheels "fhemb_xr[${EXTRAS}]" \
 && rm -rf /wheels \
 && useradd --create-home --uid 1000 fhemb
USER fhemb
WORKDIR /home/fhemb
# exit 1 if anything that is needed is missing or unsafe, or a configured database is silent
HEALTHCHECK --interval=1m --timeout=30s CMD ["fhemb", "doctor"]
ENTRYPOINT ["fhemb"]
CMD ["--help"]
