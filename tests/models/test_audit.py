"""The audit's chain: what is in it, that it is whole whoever writes at once, and that tampering is found."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.exc import DBAPIError

from models import audit, people
from models.actors import Actor, current_actor
from models.db import Database, migrate
from models.permissions import Role
from models.rules import StoredRuleSet, bump, snapshot
from models.settings import Settings
from tests.parts.postgres import postgres_server

ORG = people.DEFAULT_ORGANIZATION


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def settings(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    home: Path = tmp_path_factory.mktemp("audit")
    if request.param == "sqlite":
        yield Settings(data_dir=home)
        return
    with postgres_server() as url:
        yield Settings(data_dir=home, database_url=url)


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    migrate(settings)
    made = Database.from_settings(settings)
    acting = current_actor.set(Actor("USER", "ann@recon.test", user_id=7, organization_id=ORG))
    yield made
    current_actor.reset(acting)
    made.dispose()


def rule_set(database: Database, name: str) -> int:
    with database.write() as session:
        stored = StoredRuleSet(organization_id=ORG, name=name)
        session.add(stored)
        session.flush()
        snapshot(session, stored)
    return stored.id


def newest(database: Database, count: int) -> list[audit.AuditEntry]:
    with database.read() as session:
        return list(audit.page(session, ORG, entity=None, entity_id=None, limit=count)[0])


def whole(database: Database) -> audit.Verdict:
    with database.read() as session:
        verdict = audit.verify(session, ORG)
    assert verdict.wrong is None, verdict
    return verdict


def test_changes_say_who_and_from_what_to_what(database: Database) -> None:
    made = rule_set(database, "before")
    with database.write() as session:
        stored = session.get_one(StoredRuleSet, made)
        stored.name = "after"
        bump(stored)
        session.add(stored)
    with database.write() as session:
        people.add(
            session, ORG, name="B", email="b@recon.test", role=Role.VIEWER, password="hush-hush!", temporary=True
        )
    user, change = newest(database, 2)
    assert (change.actor_kind, change.actor_id, change.actor_name) == ("USER", 7, "ann@recon.test")
    assert (change.action, change.entity, change.entity_id) == ("UPDATE", "RuleSet", made)
    assert json.loads(change.before or "") == {"name": "before", "version": 1}
    assert json.loads(change.after or "") == {"name": "after", "version": 2}
    assert user.entity == "User"
    assert "argon2" not in (user.after or "")
    whole(database)


def test_what_is_rolled_back_or_the_products_own_is_not_in_it(database: Database) -> None:
    before = whole(database)
    with database.write() as session:
        session.add(StoredRuleSet(organization_id=ORG, name="never"))
        session.flush()
        session.rollback()
    acting = current_actor.set(Actor("SYSTEM", "system"))
    rule_set(database, "by the product")
    current_actor.reset(acting)
    assert whole(database) == before


def test_many_writers_make_one_chain(database: Database) -> None:
    before = whole(database).entries

    def write(number: int) -> None:
        current_actor.set(Actor("USER", f"writer {number}", user_id=number, organization_id=ORG))
        for turn in range(5):
            rule_set(database, f"{number}.{turn}")

    threads = [threading.Thread(target=write, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # A rule set and its version each time.
    assert whole(database).entries == before + 6 * 5 * 2


def test_tampering_is_found(database: Database) -> None:
    rule_set(database, "first")
    rule_set(database, "second")
    noted = whole(database)
    victim = noted.entries - 1
    with database.engine.connect() as connection, pytest.raises(DBAPIError, match="append-only"):
        connection.exec_driver_sql(f"UPDATE audit_log SET actor_name = 'nobody' WHERE number = {victim}")
    off, on = (
        ("ALTER TABLE audit_log DISABLE TRIGGER ALL", "ALTER TABLE audit_log ENABLE TRIGGER ALL")
        if database.engine.dialect.name == "postgresql"
        else ("DROP TRIGGER audit_log_no_update", "SELECT 1")
    )
    also = "SELECT 1" if database.engine.dialect.name == "postgresql" else "DROP TRIGGER audit_log_no_delete"
    for act, said in (
        (f"UPDATE audit_log SET actor_name = 'nobody' WHERE number = {victim}", f"entry {victim} was changed"),
        (f"DELETE FROM audit_log WHERE number = {victim}", f"entry {victim} is missing"),
        (f"DELETE FROM audit_log WHERE number >= {victim}", f"entries after {victim - 1} are missing"),
        ("UPDATE audit_heads SET hash = 'x'", "the head was changed"),
    ):
        with database.write() as session:
            connection = session.connection()
            for statement in (off, also, act, on):
                connection.exec_driver_sql(statement)
            assert audit.verify(session, ORG).wrong == said
            session.rollback()
    with database.read() as session:
        assert audit.verify(session, ORG, {noted.entries: noted.head}).wrong is None
        assert "noted" in (audit.verify(session, ORG, {noted.entries: "other"}).wrong or "")
        assert "noted" in (audit.verify(session, ORG, {noted.entries + 1: noted.head}).wrong or "")
