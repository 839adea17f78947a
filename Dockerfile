FROM python:3.12-slim-bookworm
RUN pip install --no-cache-dir uv && useradd --create-home --uid 1000 uitkomst
WORKDIR /opt/uitkomststroom
COPY pyproject.toml uv.lock README.md LICENSE ./
COPY pipelines pipelines
RUN uv sync --frozen --no-dev --extra postgres --compile-bytecode
COPY . .
RUN mkdir -p /srv/uitkomst && chown uitkomst /srv/uitkomst
USER uitkomst
