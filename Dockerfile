FROM python:3.12.13-slim-trixie@sha256:423ed6ab25b1921a477529254bfeeabf5855151dc2c3141699a1bfc852199fbf
ENV UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy
RUN pip install --no-cache-dir uv==0.13.9 && useradd --create-home --uid 1000 uitkomst
WORKDIR /opt/uitkomststroom
COPY pyproject.toml uv.lock README.md LICENSE ./
COPY pipelines pipelines
RUN uv sync --frozen --no-dev --extra postgres --extra celery
COPY . .
# A new volume takes over the owner of the folder it is mounted on.
RUN install -d -o uitkomst -g uitkomst -m 750 /srv/uitkomst /srv/exports
USER uitkomst
