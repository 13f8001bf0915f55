"""All settings, read from `RECON_*` once and passed in from there."""

from __future__ import annotations

import re
from pathlib import Path

from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from models.sizes import parse_size

LOOPBACK = ("127.0.0.1", "localhost", "::1")
DATABASES = ("sqlite", "postgresql")
ENGINE_DRIVERS = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg"}
"""Prefect's server takes asynchronous drivers only."""
EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s.][^@\s]{0,252}")
"""What the legacy takes for an address: something, @, something."""
SHORTEST_SECRET = 32
"""Characters of a signing secret: as many bytes as HMAC-SHA-256 gives."""


class Settings(BaseSettings):
    """Sizes are bytes, times are seconds, unless a name says otherwise."""

    model_config = SettingsConfigDict(env_prefix="RECON_", env_ignore_empty=True, extra="ignore")

    data_dir: Path = Field(default=Path(".recon"), description="where the embedded database and files live")
    database_url: str | None = Field(
        default=None, repr=False, description="SQLAlchemy URL; default: SQLite in the data directory"
    )
    storage_url: str | None = Field(
        default=None, description="fsspec URL of the blobs; default: `files` in the data directory"
    )
    storage_endpoint_url: str | None = Field(default=None, description="endpoint of an S3 server other than AWS")
    storage_access_key: SecretStr | None = None
    storage_secret_key: SecretStr | None = None
    storage_region: str = "us-east-1"

    host: str = Field(default="127.0.0.1", description="where the API and the Prefect server listen")
    api_port: int = Field(default=8080, ge=1, le=65_535)
    prefect_port: int = Field(default=4200, ge=1, le=65_535)
    public_url: str | None = Field(default=None, description="base of download links; default: the API's own address")
    prefect_api_url: str | None = Field(default=None, description="an engine's API; default: the embedded server's")
    prefect_auth: SecretStr | None = Field(
        default=None, description="user:password of the engine's API; the embedded server then asks for it"
    )
    prefect_database_url: str | None = Field(
        default=None,
        repr=False,
        description="SQLAlchemy URL for the embedded engine; default: SQLite in the data directory",
    )
    api_url: str | None = Field(
        default=None, description="where streams as code deploy to; default: the API's own address"
    )
    api_token: SecretStr | None = Field(default=None, description="who deploys them: an API key or an access token")
    work_pool: str = "recon"
    work_pool_type: str = Field(default="recon", description="of the work pool if it has to be made")
    worker_limit: int = Field(default=8, gt=0, description="flow runs that one worker executes at the same time")
    worker_query: float = Field(default=0.3, gt=0, description="how often a worker asks for runs that are due")
    worker_grace: float = Field(default=1.0, gt=0, description="from the order to end a flow run to its SIGKILL")

    upload_limit: int = Field(default=2 * 1024**3, gt=0)
    large_file_rows: int = Field(
        default=1_000_000, gt=0, description="above this `validate` warns STEP_TARGET_FILE_LARGE"
    )
    backtest_rows: int = Field(
        default=1_000_000, gt=0, description="rows of both files together that a back-test over the API may read"
    )
    match_memory: int | None = Field(
        default=None,
        gt=0,
        description="bytes (or e.g. 4GB) that one match takes before it goes to disk; default: half of the machine's, 6 GB at most",
    )
    start_wait: float = Field(default=10.0, ge=0, description="how long a legacy start waits for the end of its run")
    retry_base: float = Field(
        default=1.0, gt=0, description="delay before the first retry of a step; doubles each time"
    )
    retry_ceiling: float = Field(default=60.0, gt=0)
    secret_key: SecretStr | None = Field(
        default=None, description="seals secrets of data sources; default: made once and kept in the data directory"
    )
    source_allow: list[str] | None = Field(
        default=None,
        description="hosts and paths, as patterns, that data sources may connect to; default: all while the API listens on "
        "this machine only, nothing otherwise",
    )
    step_parallelism: int = Field(default=4, gt=0, description="steps of one run that are executed at the same time")
    run_restarts: int = Field(
        default=5,
        ge=0,
        description="engine runs that a run may lose in a row before it is FAILED; a completed step resets it",
    )
    heartbeat: float = Field(default=5.0, gt=0, description="how often a running process says that it lives")
    lost_after: float = Field(default=30.0, gt=0, description="without a sign of life a run is continued elsewhere")
    engine_start: float = Field(
        default=30.0, gt=0, description="how long an engine run that a worker has taken may need to begin"
    )
    database_patience: float = Field(
        default=600.0, ge=0, description="how long a run waits for a database that is away before it gives up"
    )
    orphan_grace: float = Field(
        default=3600.0, gt=0, description="how old a blob without a record has to be before it is deleted"
    )
    streams_enabled: bool = True
    cors_origins: list[str] = ["http://localhost:5173", "http://localhost:3000"]

    auth: bool = Field(default=True, description="off: whoever reaches the API is its admin; on a loopback host only")
    jwt_secret: SecretStr | None = Field(default=None, description="signs tokens; default: kept in the data directory")
    admin_email: str = Field(default="admin@company.com", description="address of the first user of a fresh database")
    admin_password: SecretStr | None = Field(
        default=None, description="the first user's; default: made up and shown once"
    )
    access_token_seconds: int = Field(default=86_400, gt=0)
    refresh_token_seconds: int = Field(default=7 * 86_400, gt=0)
    refresh_grace: float = Field(default=60, ge=0, description="how long a used refresh token still gives a successor")
    link_seconds: int = Field(default=7 * 86_400, gt=0, description="how long download links in the Prefect UI work")
    login_failures: int = Field(default=10, gt=0, description="failed log-ins of an account within the window")
    login_failures_of_address: int = Field(
        default=100, gt=0, description="failed log-ins from an address within the window"
    )
    login_window: float = Field(default=300, gt=0)

    @field_validator("match_memory", mode="before")
    @classmethod
    def _size(cls, value: object) -> object:
        return parse_size(value) if isinstance(value, str) else value

    @field_validator("data_dir")
    @classmethod
    def _without_query(cls, value: Path) -> Path:
        if "?" in str(value):
            raise ValueError("a '?' would end the path in an embedded database's URL; choose a directory without it")
        return value

    @field_validator("jwt_secret")
    @classmethod
    def _long_enough(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and len(value.get_secret_value().encode()) < SHORTEST_SECRET:
            raise ValueError(f"at least {SHORTEST_SECRET} characters are needed, e.g. of `openssl rand -base64 48`")
        return value

    @field_validator("admin_email")
    @classmethod
    def _address(cls, value: str) -> str:
        if not EMAIL.fullmatch(value):
            raise ValueError("an e-mail address is needed, such as admin@company.com")
        return value

    @field_validator("auth")
    @classmethod
    def _on_where_others_come_in(cls, value: bool, info: ValidationInfo) -> bool:
        host = info.data.get("host", "")
        if not value and host not in LOOPBACK:
            raise ValueError(f"without log-in the API listens on {', '.join(LOOPBACK)} only, not on {host}")
        return value

    @field_validator("database_url", "prefect_database_url")
    @classmethod
    def _known_database(cls, value: str | None) -> str | None:
        kind = None if value is None else value.partition("://")[0].partition("+")[0]
        if kind not in (None, *DATABASES):
            raise ValueError(f"a URL of {' or '.join(DATABASES)} is needed, e.g. postgresql://user:password@host/name")
        return value

    @field_validator("prefect_auth")
    @classmethod
    def _two_parts(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and ":" not in value.get_secret_value():
            raise ValueError("user:password is needed")
        return value

    @field_validator("storage_url")
    @classmethod
    def _known_storage(cls, value: str | None) -> str | None:
        # Imported here: most processes are given no such URL.
        from fsspec.registry import available_protocols

        protocol, separator, _ = (value or "").partition("://")
        if separator and protocol not in available_protocols():
            raise ValueError(f"no storage is known for '{protocol}://'; e.g. s3://bucket/prefix or a directory")
        return value

    @property
    def effective_database_url(self) -> str:
        """The database URL, the embedded default filled in."""
        return self.database_url or f"sqlite:///{self.data_dir.resolve() / 'recon.db'}"

    @property
    def effective_storage_url(self) -> str:
        """The storage URL, the embedded default filled in."""
        return self.storage_url or str(self.data_dir.resolve() / "files")

    @property
    def effective_source_allow(self) -> list[str]:
        """Patterns of hosts and paths that data sources may connect to."""
        if self.source_allow is not None:
            return self.source_allow
        return ["*"] if self.host in LOOPBACK else []

    @property
    def effective_prefect_database_url(self) -> str:
        """With the drivers that the engine works with, the embedded default filled in."""
        if self.prefect_database_url is None:
            return f"{ENGINE_DRIVERS['sqlite']}:///{self.data_dir.resolve() / 'prefect' / 'prefect.db'}"
        kind, _, place = self.prefect_database_url.partition("://")
        return f"{ENGINE_DRIVERS[kind.partition('+')[0]]}://{place}"

    @property
    def effective_prefect_api_url(self) -> str:
        return self.prefect_api_url or f"http://{self._reachable_host}:{self.prefect_port}/api"

    @property
    def effective_public_url(self) -> str:
        return (self.public_url or f"http://{self._reachable_host}:{self.api_port}").rstrip("/")

    @property
    def _reachable_host(self) -> str:
        """An address to connect to: a wildcard is one to listen on only."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104
        return f"[{host}]" if ":" in host else host
