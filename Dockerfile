# One image for every process of the product; what it runs is the argument of `eletroposto`.
FROM python:3.11-slim AS dependencies
RUN pip install --no-cache-dir --disable-pip-version-check uv==0.13.9 \
    && python -m venv --without-pip /opt/venv
COPY requirements.runtime.lock /
RUN VIRTUAL_ENV=/opt/venv uv pip install --no-cache --compile-bytecode --require-hashes \
    -r /requirements.runtime.lock

FROM python:3.11-slim
RUN useradd --uid 10001 --create-home eletroposto \
    && install -d -o eletroposto -g eletroposto /var/lib/eletroposto
COPY --from=dependencies /opt/venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH PYTHONPATH=/app PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /app
COPY ingest ingest
COPY flows flows
COPY dashboard dashboard
COPY sql sql
COPY testbench testbench
COPY eletroposto eletroposto
COPY docker/eletroposto.sh /usr/local/bin/eletroposto
RUN chmod 0755 /usr/local/bin/eletroposto && python -m compileall -q /app
USER 10001:10001
ENTRYPOINT ["eletroposto"]
CMD ["--help"]
