"""How often a log-in may fail: counted per account and per address, in the database, so that all servers count together.

From an address that the account has logged in from before, only failures of this account from there count: neither somebody
else's guessing nor a noisy neighbour locks people out of where they work.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import delete
from sqlmodel import Field, Session, SQLModel, col, select

from matching.errors import ReconError
from models.base import primary_key, time_column, utc_now
from models.settings import Settings

REMEMBERED = timedelta(days=90)
"""How long an address is known to be an account's."""


class TooManyAttempts(ReconError):
    """`retry_after` seconds have to pass."""

    code = "TOO_MANY_ATTEMPTS"

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"Too many failed log-ins; try again in {retry_after} seconds", retry_after=retry_after)
        self.retry_after = retry_after


class LoginAttempt(SQLModel, table=True):
    """A log-in that failed, or the newest one that succeeded for its account and address."""

    __tablename__ = "login_attempts"  # pyright: ignore[reportAssignmentType]

    id: int = primary_key()
    account: str = Field(index=True)
    address: str = Field(index=True)
    succeeded: bool
    at: datetime = time_column(index=True)


def check(session: Session, settings: Settings, account: str, address: str) -> None:
    """Raises TooManyAttempts where too many have failed within the window."""
    now = utc_now()
    of_account, of_address = col(LoginAttempt.account) == account, col(LoginAttempt.address) == address
    known = select(LoginAttempt.id).where(
        of_account, of_address, col(LoginAttempt.succeeded).is_(True), col(LoginAttempt.at) > now - REMEMBERED
    )
    if session.exec(known.limit(1)).first() is not None:
        limits = [((of_account, of_address), settings.login_failures)]
    else:
        limits = [((of_account,), settings.login_failures), ((of_address,), settings.login_failures_of_address)]
    window = timedelta(seconds=settings.login_window)
    waits = [_wait(session, where, most, now, window) for where, most in limits]
    if max(waits) > timedelta():
        raise TooManyAttempts(max(1, round(max(waits).total_seconds())))


def _wait(session: Session, where: tuple[object, ...], most: int, now: datetime, window: timedelta) -> timedelta:
    """How long until fewer than `most` failures lie within the window."""
    failed = (
        select(LoginAttempt.at)
        .where(*where, col(LoginAttempt.succeeded).is_(False), col(LoginAttempt.at) > now - window)  # pyright: ignore[reportArgumentType]
        .order_by(col(LoginAttempt.at).desc())
        .offset(most - 1)
        .limit(1)
    )
    decisive = session.exec(failed).first()
    return timedelta() if decisive is None else decisive + window - now


def record(session: Session, settings: Settings, account: str, address: str, *, succeeded: bool) -> None:
    """Notes how a log-in ended, and forgets what no longer counts."""
    now = utc_now()
    too_old = now - timedelta(seconds=settings.login_window)
    pair = (col(LoginAttempt.account) == account, col(LoginAttempt.address) == address)
    session.execute(delete(LoginAttempt).where(col(LoginAttempt.succeeded).is_(False), col(LoginAttempt.at) < too_old))
    session.execute(delete(LoginAttempt).where(col(LoginAttempt.at) < now - REMEMBERED))
    if succeeded:
        session.execute(delete(LoginAttempt).where(*pair))
    session.add(LoginAttempt(account=account, address=address, succeeded=succeeded))
