"""Every setting of the service, from environment variables, with its default and its meaning.

`docs/http-api.md` tables them; a test compares the table with this file. Values that may hold a
password are `SecretStr`, and a refused value is never shown: it may be one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

from api.auth import Keyring, parse_keys
from api.authzen.mapping import MappingError, StoreMapping, read_mapping
from api.authzen.paths import check_base_url
from api.oidc.configuration import Issuer, make_issuer
from api.setting_values import Count, Seconds, Window, check_postgres_url, is_loopback
from engine.limits import Limits

_DEFAULTS = Limits()


class SettingsError(Exception):
    """The environment does not make a configuration; the message names variables, never values."""


class Settings(BaseSettings):
    """The configuration of one server. Sizes are bytes, times are seconds unless named."""

    model_config = SettingsConfigDict(
        env_prefix="STONETOWN_",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
        validate_by_name=True,
        validate_by_alias=True,
    )

    host: str = Field(default="127.0.0.1", description="Address to listen on")
    port: int = Field(
        default=8080, ge=0, le=65_535, description="Port to listen on; 0 takes a free one"
    )
    data: Path = Field(
        default=Path(".stonetown"),
        description="Directory of the private Postgres and other local state",
    )
    workers: int = Field(default=1, ge=1, le=256, description="Worker processes")
    api_keys: SecretStr = Field(
        default=SecretStr(""), description="Keys that may call: see Keys and rights; empty: no keys"
    )
    oidc_issuer: str | None = Field(
        default=None, description="Issuer whose tokens may call: see Tokens; absent: none may"
    )
    oidc_audience: str | None = Field(
        default=None, description="Audience that a token must be for; required with an issuer"
    )
    oidc_issuer_aliases: str = Field(
        default="", description="Other `iss` that a token may have, separated by commas"
    )
    oidc_subjects: str = Field(
        default="",
        description="Subjects or clients that may call, by commas; empty: any",
    )
    oidc_claim: str = Field(
        default="scope", min_length=1, description="Claim whose values are granted something"
    )
    oidc_grants: str = Field(
        default="", description="What its values are granted: see Tokens; empty: everything to all"
    )
    oidc_jwks_url: str | None = Field(
        default=None, description="Where the issuer's keys are; absent: where its document says"
    )
    database_url: Annotated[SecretStr, AfterValidator(check_postgres_url)] | None = Field(
        default=None,
        validation_alias="DATABASE_URL",
        description="Postgres to use; absent: a private one in the data directory",
    )
    redis_url: SecretStr | None = Field(
        default=None,
        validation_alias="REDIS_URL",
        description="Redis or Valkey to use; absent: a private one",
    )
    database_pool: int = Field(
        default=10, ge=1, le=1000, description="Connections to Postgres per worker process"
    )
    prepared_statements: bool = Field(
        default=True, description="Prepare statements; `false` behind PgBouncer in transaction mode"
    )

    max_staleness: Seconds = Field(
        default=1.0, description="How old a `minimize_latency` answer may be at most"
    )
    read_your_writes: bool = Field(
        default=True,
        description="Checks of an object see that object's own last acknowledged write",
    )
    index: bool = Field(
        default=True, description="Keep a copy of each store in use on this node, to read from"
    )
    index_dir: Path | None = Field(
        default=None, description="Directory of the copies; absent: `index` in the data directory"
    )
    index_size: int = Field(
        default=1 << 34, ge=1 << 20, le=1 << 46, description="Copy of one store at most"
    )
    index_memory: int = Field(
        default=1 << 25,
        ge=0,
        le=1 << 40,
        description="Memory of a worker for what subjects reach in the copies, at most, about",
    )
    index_stores: Count = Field(default=64, description="Stores of which there are copies at most")
    index_unused_seconds: Seconds = Field(
        default=3600.0, description="A copy that nobody read for this long is removed"
    )
    history_window: Window = Field(
        default=timedelta(days=7),
        description="How long past snapshots can be read; `off`: for ever",
    )
    gc_interval: Seconds = Field(
        default=300.0, description="Pause between two rounds of garbage collection"
    )

    deadline: Seconds = Field(
        default=_DEFAULTS.deadline,
        description="What one request may take; a client may ask for less",
    )
    import_deadline: Seconds = Field(
        default=30.0, description="What one revision of an import may take"
    )
    max_body: Count = Field(
        default=1024 * 1024, description="Request body; import is bounded by line"
    )
    max_headers: Count = Field(default=16 * 1024, description="All request headers together")
    max_url: Count = Field(default=8 * 1024, description="Path and query of a request")
    max_import_line: Count = Field(default=64 * 1024, description="One line of an import")
    max_import_batch: Count = Field(
        default=8 * 1024 * 1024, description="Lines of one import revision"
    )
    max_in_flight: Count = Field(default=512, description="Requests under way at once per worker")
    max_streams: Count = Field(default=256, description="Streams open at once per worker")
    max_streams_per_key: Count = Field(
        default=64, description="Streams open at once per key and worker"
    )
    read_timeout: Seconds = Field(
        default=10.0, description="Longest pause while a request body arrives"
    )
    write_timeout: Seconds = Field(
        default=10.0, description="Longest wait for the reader of a stream to take more"
    )
    watch_heartbeat: Seconds = Field(
        default=5.0,
        description="Longest silence of a watch: a heartbeat comes when there is no change",
    )
    stop_timeout: Seconds = Field(
        default=10.0, description="What requests under way get to finish when the server stops"
    )

    limit_updates: Count = Field(default=_DEFAULTS.updates, description="Updates in one write")
    limit_preconditions: Count = Field(
        default=_DEFAULTS.preconditions, description="Preconditions in one write or delete"
    )
    limit_checks: Count = Field(default=_DEFAULTS.checks, description="Checks in one batch")
    limit_contextual_tuples: Count = Field(
        default=_DEFAULTS.contextual_tuples, description="Contextual tuples of one check"
    )
    limit_page_default: Count = Field(
        default=_DEFAULTS.page_default, description="Items of a page when `limit` is absent"
    )
    limit_page_maximum: Count = Field(
        default=_DEFAULTS.page_maximum, description="Items of a page at most"
    )
    limit_import_batch: Count = Field(
        default=_DEFAULTS.import_batch, description="Tuples in one revision of an import"
    )
    limit_request_context_bytes: Count = Field(
        default=_DEFAULTS.request_context_bytes, description="Caveat context of a check"
    )
    limit_tuple_context_bytes: Count = Field(
        default=_DEFAULTS.tuple_context_bytes, description="Caveat context of a tuple"
    )
    limit_metadata_bytes: Count = Field(
        default=_DEFAULTS.metadata_bytes, description="Metadata of a write"
    )
    limit_schema_bytes: Count = Field(
        default=_DEFAULTS.schema_bytes, description="Text of a schema"
    )
    limit_evaluation_reads: Count = Field(
        default=_DEFAULTS.evaluation_reads, description="Tuples that one evaluation may read"
    )
    limit_evaluation_nodes: Count = Field(
        default=_DEFAULTS.evaluation_nodes, description="Nodes that one evaluation may visit"
    )
    limit_depth: int = Field(
        default=_DEFAULTS.depth,
        ge=0,
        le=10_000,
        description="Hop over usersets and arrows at which a check is an error; 0 for none",
    )
    limit_expand_nodes: Count = Field(
        default=_DEFAULTS.expand_nodes, description="Nodes of one expand tree"
    )
    limit_explain_seconds: Seconds = Field(
        default=_DEFAULTS.explain_seconds, description="What one explanation may take"
    )
    limit_explain_reads: Count = Field(
        default=_DEFAULTS.explain_reads, description="Tuples that one explanation may read"
    )
    limit_explain_goals: Count = Field(
        default=_DEFAULTS.explain_goals, description="Goals in one explanation"
    )
    limit_explain_tuples: Count = Field(
        default=_DEFAULTS.explain_tuples, description="Tuples in one explanation"
    )
    limit_explain_ways: Count = Field(
        default=_DEFAULTS.explain_ways, description="Ways to yes in one explanation"
    )
    limit_explain_trials: Count = Field(
        default=_DEFAULTS.explain_trials, description="Sets of changes tried for ways to yes"
    )
    limit_explained_checks: Count = Field(
        default=_DEFAULTS.explained_checks, description="Explained checks in one batch"
    )

    authzen_base_url: Annotated[str | None, AfterValidator(check_base_url)] = Field(
        default=None, description="What AuthZEN's metadata begin their URLs with; absent: none"
    )
    authzen_mapping: Path | None = Field(
        default=None,
        description="File that says what AuthZEN's properties and actions mean, by store",
    )

    openfga_max_tuples_per_write: Count = Field(
        default=100, description="Tuples in one write over OpenFGA's API"
    )
    openfga_max_checks_per_batch: Count = Field(
        default=50, description="Checks in one batch over OpenFGA's API"
    )
    openfga_max_types_per_model: Count = Field(
        default=100, description="Types in one of OpenFGA's models"
    )
    openfga_max_model_bytes: Count = Field(
        default=256 * 1024, description="One of OpenFGA's models as JSON"
    )
    openfga_max_results: int = Field(
        default=0,
        ge=0,
        le=10_000_000,
        description="Entries of a list over OpenFGA's API; `0`: all there are",
    )

    docs: bool = Field(default=True, description="Serve `/docs` and `/openapi.json`")
    log_level: str = Field(
        default="info",
        pattern="(?i)^(debug|info|warning|error)$",
        description="`debug` (a line per request), `info`, `warning` or `error`",
    )
    slow_request: Seconds = Field(default=1.0, description="Requests that take longer are logged")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.keyring and self.oidc is None and not is_loopback(self.host):
            raise ValueError(
                "STONETOWN_HOST is not a loopback address, so STONETOWN_API_KEYS must hold a key"
                " (`stonetown key new` makes one), or STONETOWN_OIDC_ISSUER name an issuer"
            )
        if self.limit_page_default > self.limit_page_maximum:
            raise ValueError("STONETOWN_LIMIT_PAGE_DEFAULT is over STONETOWN_LIMIT_PAGE_MAXIMUM")
        try:
            _ = self.authzen
        except MappingError as error:
            raise ValueError(f"STONETOWN_AUTHZEN_MAPPING: {error}") from None
        return self

    @property
    def keyring(self) -> Keyring:
        """The keys that may call; empty when none are configured."""
        return parse_keys(self.api_keys.get_secret_value())

    @property
    def oidc(self) -> Issuer | None:
        """The issuer whose tokens may call. Raises ValueError for half a configuration."""
        return make_issuer(
            url=self.oidc_issuer,
            audience=self.oidc_audience,
            aliases=self.oidc_issuer_aliases,
            subjects=self.oidc_subjects,
            claim=self.oidc_claim,
            grants=self.oidc_grants,
            keys_url=self.oidc_jwks_url,
        )

    @cached_property
    def authzen(self) -> Mapping[str, StoreMapping]:
        """What is configured for AuthZEN, by store. Raises MappingError."""
        return read_mapping(self.authzen_mapping) if self.authzen_mapping else {}

    @property
    def index_root(self) -> Path | None:
        """The directory of the node's indexes; None if there are to be none."""
        return (self.index_dir or self.data / "index").absolute() if self.index else None

    @property
    def limits(self) -> Limits:
        """The engine's limits, as configured here."""
        values = {
            name: getattr(self, f"limit_{name}")
            for name in Limits.__dataclass_fields__
            if name != "deadline"
        }
        return Limits(**values, deadline=self.deadline)

    def secrets(self) -> tuple[str, ...]:
        """Every text that must never be shown: the URLs, and the passwords in them."""
        urls = [url.get_secret_value() for url in (self.database_url, self.redis_url) if url]
        passwords = [match[1] for url in urls if (match := re.search(r":([^:/@]+)@", url))]
        return tuple(text for text in (*urls, *passwords) if text)


def environment_name(field: str) -> str:
    """The environment variable of a field of Settings."""
    alias = Settings.model_fields[field].validation_alias
    return alias if isinstance(alias, str) else f"STONETOWN_{field.upper()}"


def load_settings(**overrides: Any) -> Settings:
    """Settings from the environment, with flags that were given in `overrides`.

    Raises SettingsError with one line per problem; the values themselves are never in it.
    """
    try:
        return Settings(**{key: value for key, value in overrides.items() if value is not None})
    except ValidationError as error:
        raise SettingsError("\n".join(_problem(item) for item in error.errors())) from None


def _problem(item: Any) -> str:
    message = str(item["msg"]).removeprefix("Value error, ")
    if not item["loc"]:
        return message
    name = str(item["loc"][0])
    shown = environment_name(name) if name in Settings.model_fields else name
    return f"{shown}: {message[:1].lower()}{message[1:]}"
