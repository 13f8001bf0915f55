"""How our processes reach Prefect's API: address and log-in by our settings, everything else as Prefect is configured."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from prefect.context import SettingsContext, get_settings_context
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES
from prefect.settings import Settings as PrefectSettings

from models.settings import Settings

if TYPE_CHECKING:
    from prefect.settings.context import SettingKey


def engine_settings(settings: Settings) -> dict[SettingKey, Any]:
    """Prefect's settings as ours say them. The embedded server is meant where neither names another one."""
    address = settings.prefect_api_url or PREFECT_API_URL.value() or settings.effective_prefect_api_url
    chosen: dict[SettingKey, Any] = {PREFECT_API_URL: address}
    if settings.prefect_auth is not None:
        chosen[PREFECT_API_AUTH_STRING] = settings.prefect_auth.get_secret_value()
    return chosen


@contextmanager
def asking_once() -> Iterator[None]:
    """Prefect's client does not repeat a request: its pauses grow to half a minute, and whoever asks here asks again."""
    given = get_settings_context()
    with SettingsContext(profile=given.profile, settings=_ONCE.made_from(given.settings)):
        yield


class _Once:
    """Settings without repetitions. Making them takes 20 ms, too long for every request."""

    def __init__(self) -> None:
        self._pair: tuple[PrefectSettings, PrefectSettings] | None = None

    def made_from(self, given: PrefectSettings) -> PrefectSettings:
        pair = self._pair
        if pair is None or pair[0] is not given:
            pair = self._pair = given, given.copy_with_update(updates={PREFECT_CLIENT_MAX_RETRIES: 0})
        return pair[1]


_ONCE = _Once()
