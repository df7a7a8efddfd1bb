# syntax=docker/dockerfile:1

# bookworm: Microsoft's repository for it is signed with the key below, those of newer releases are not.
FROM python:3.13-slim-bookworm

ADD --chmod=644 https://packages.microsoft.com/keys/microsoft.asc /usr/share/keyrings/microsoft.asc
RUN echo "deb [signed-by=/usr/share/keyrings/microsoft.asc] https://packages.microsoft.com/debian/12/prod bookworm main" \
        > /etc/apt/sources.list.d/microsoft.list \
    && apt-get update \
    # The driver links to libgssapi-krb5-2, which slim images lack.
    && ACCEPT_EULA=Y apt-get install --yes --no-install-recommends libgssapi-krb5-2 msodbcsql18 unixodbc \
    && rm -rf /var/lib/apt/lists/*

RUN --mount=type=bind,target=/source,rw \
    --mount=type=cache,target=/root/.cache/pip \
    pip install --root-user-action=ignore -c /source/constraints.txt '/source[otel]'

# The application: a team's own image copies its folder here instead.
WORKDIR /app
COPY kafkajourney.toml ./
COPY schemas schemas
COPY producer producer
COPY consumers consumers
COPY migrations migrations

# By number, so that Kubernetes can tell that it is not root.
RUN useradd --uid 1000 --create-home kafkajourney && chown 1000 /app
USER 1000
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1

CMD ["kafkajourney", "--help"]
