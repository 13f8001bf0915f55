"""The first schema"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


INTEGER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
JSON_VALUE = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "organizations",
        sa.Column("id", INTEGER, nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name"),
    )
    op.create_table(
        "rule_set_versions",
        sa.Column("id", INTEGER, nullable=False),
        sa.Column("rule_set_id", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("definition", JSON_VALUE, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("rule_set_id", "version"),
    )
    op.create_index("ix_rule_set_versions_rule_set_id", "rule_set_versions", ["rule_set_id"])

    op.create_table(
        "files",
        sa.Column("id", INTEGER, nullable=False),
        sa.Column("organization_id", INTEGER, nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("original_filename", sa.String(), nullable=False),
        sa.Column("content_type", sa.String(), nullable=True),
        sa.Column("file_size", INTEGER, nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("detected_schema", JSON_VALUE, nullable=True),
        sa.Column("headers", JSON_VALUE, nullable=True),
        sa.Column("row_count", INTEGER, nullable=True),
        sa.Column("column_count", sa.Integer(), nullable=True),
        sa.Column("processing_error", sa.String(), nullable=True),
        sa.Column("storage_path", sa.String(), nullable=False),
        sa.Column("twin_path", sa.String(), nullable=True),
        sa.Column("checksum", sa.String(), nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organizations.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_files_kind", "files", ["kind"])
    op.create_index("ix_files_organization_id", "files", ["organization_id"])

    op.create_table(
        "reconciliations",
        sa.Column("id", INTEGER, nullable=False),
        sa.Column("organization_id", INTEGER, nullable=False),
        sa.Column("origin", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("description", sa.String(), nullable=True),
        sa.Column("domain", sa.String(), nullable=False),
        sa.Column("source_file_id", INTEGER, nullable=True),
        sa.Column("target_file_id", INTEGER, nullable=True),
        sa.Column("rule_set_id", sa.Integer(), nullable=False),
        sa.Column("step_run_id", INTEGER, nullable=True),
        sa.Column("total_source_records", INTEGER, nullable=False),
        sa.Column("total_target_records", INTEGER, nullable=False),
        sa.Column("matched_records", INTEGER, nullable=False),
        sa.Column("unmatched_source_records", INTEGER, nullable=False),
        sa.Column("unmatched_target_records", INTEGER, nullable=False),
        sa.Column("exception_count", INTEGER, nullable=False),
        sa.Column("match_rate", sa.Float(), nullable=False),
        sa.Column("deleted_at", TIME, nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organizations.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_reconciliations_created_at", "reconciliations", ["created_at"])
    op.create_index("ix_reconciliations_organization_id", "reconciliations", ["organization_id"])
    op.create_index("ix_reconciliations_origin", "reconciliations", ["origin"])
    op.create_index("ix_reconciliations_rule_set_id", "reconciliations", ["rule_set_id"])

    op.create_table(
        "rule_sets",
        sa.Column("id", INTEGER, nullable=False),
        sa.Column("organization_id", INTEGER, nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("description", sa.String(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("is_ai_generated", sa.Boolean(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("extra", JSON_VALUE, nullable=True),
        sa.Column("passes", JSON_VALUE, nullable=True),
        sa.Column("severities", JSON_VALUE, nullable=True),
        sa.Column("amount", JSON_VALUE, nullable=True),
        sa.Column("potential_matches", JSON_VALUE, nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organizations.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_rule_sets_organization_id", "rule_sets", ["organization_id"])

    op.create_table(
        "streams",
        sa.Column("id", INTEGER, nullable=False),
        sa.Column("organization_id", INTEGER, nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("description", sa.String(), nullable=True),
        sa.Column("domain", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("trigger_type", sa.String(), nullable=False),
        sa.Column("trigger_config", JSON_VALUE, nullable=True),
        sa.Column("definition_version", sa.Integer(), nullable=False),
        sa.Column("implicit", sa.Boolean(), nullable=False),
        sa.Column("deployment_id", sa.String(), nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organizations.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_streams_implicit", "streams", ["implicit"])
    op.create_index("ix_streams_organization_id", "streams", ["organization_id"])

    op.create_table(
        "field_mappings",
        sa.Column("id", INTEGER, nullable=False),
        sa.Column("rule_set_id", INTEGER, nullable=False),
        sa.Column("source_field", sa.String(), nullable=False),
        sa.Column("target_field", sa.String(), nullable=False),
        sa.Column("transform", sa.String(), nullable=True),
        sa.Column("confidence", sa.Float(), nullable=True),
        sa.Column("is_key", sa.Boolean(), nullable=False),
        sa.Column("transform_config", JSON_VALUE, nullable=True),
        sa.ForeignKeyConstraint(
            ["rule_set_id"],
            ["rule_sets.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_field_mappings_rule_set_id", "field_mappings", ["rule_set_id"])

    op.create_table(
        "matching_rules",
        sa.Column("id", INTEGER, nullable=False),
        sa.Column("rule_set_id", INTEGER, nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("description", sa.String(), nullable=True),
        sa.Column("source_field", sa.String(), nullable=False),
        sa.Column("target_field", sa.String(), nullable=False),
        sa.Column("match_type", sa.String(), nullable=False),
        sa.Column("tolerance", sa.String(64), nullable=True),
        sa.Column("fuzzy_threshold", sa.Float(), nullable=True),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("config", JSON_VALUE, nullable=True),
        sa.ForeignKeyConstraint(
            ["rule_set_id"],
            ["rule_sets.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_matching_rules_rule_set_id", "matching_rules", ["rule_set_id"])

    op.create_table(
        "runs",
        sa.Column("id", INTEGER, nullable=False),
        sa.Column("organization_id", INTEGER, nullable=False),
        sa.Column("stream_id", INTEGER, nullable=False),
        sa.Column("definition_version", sa.Integer(), nullable=False),
        sa.Column("rule_set_versions", JSON_VALUE, nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("current_step_order", sa.Integer(), nullable=False),
        sa.Column("trigger_type", sa.String(), nullable=False),
        sa.Column("trigger_metadata", JSON_VALUE, nullable=True),
        sa.Column("engine_run_id", sa.String(), nullable=True),
        sa.Column("submit_at", TIME, nullable=True),
        sa.Column("idempotency_key", sa.String(), nullable=True),
        sa.Column("request_digest", sa.String(), nullable=True),
        sa.Column("error_message", sa.String(), nullable=True),
        sa.Column("started_at", TIME, nullable=True),
        sa.Column("completed_at", TIME, nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organizations.id"],
        ),
        sa.ForeignKeyConstraint(
            ["stream_id"],
            ["streams.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("engine_run_id"),
        sa.UniqueConstraint("stream_id", "idempotency_key"),
    )
    op.create_index("ix_runs_organization_id", "runs", ["organization_id"])
    op.create_index("ix_runs_status", "runs", ["status"])
    op.create_index("ix_runs_stream_id", "runs", ["stream_id"])

    op.create_table(
        "steps",
        sa.Column("id", INTEGER, nullable=False),
        sa.Column("stream_id", INTEGER, nullable=False),
        sa.Column("definition_version", sa.Integer(), nullable=False),
        sa.Column("step_order", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("source_type", sa.String(), nullable=False),
        sa.Column("source_id", INTEGER, nullable=False),
        sa.Column("target_type", sa.String(), nullable=False),
        sa.Column("target_id", INTEGER, nullable=False),
        sa.Column("source_input", JSON_VALUE, nullable=False),
        sa.Column("target_input", JSON_VALUE, nullable=False),
        sa.Column("rule_set_id", sa.Integer(), nullable=False),
        sa.Column("config", JSON_VALUE, nullable=True),
        sa.ForeignKeyConstraint(
            ["stream_id"],
            ["streams.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("stream_id", "definition_version", "step_order"),
    )
    op.create_index("ix_steps_rule_set_id", "steps", ["rule_set_id"])
    op.create_index("ix_steps_stream_id", "steps", ["stream_id"])

    op.create_table(
        "lineage_events",
        sa.Column("id", INTEGER, nullable=False),
        sa.Column("run_id", INTEGER, nullable=False),
        sa.Column("event_type", sa.String(), nullable=False),
        sa.Column("file_id", INTEGER, nullable=True),
        sa.Column("artifact_id", INTEGER, nullable=True),
        sa.Column("upstream_step_run_id", INTEGER, nullable=True),
        sa.Column("downstream_step_run_id", INTEGER, nullable=True),
        sa.Column("facts", JSON_VALUE, nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["run_id"],
            ["runs.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_lineage_events_run_id", "lineage_events", ["run_id"])

    op.create_table(
        "step_runs",
        sa.Column("id", INTEGER, nullable=False),
        sa.Column("run_id", INTEGER, nullable=False),
        sa.Column("step_id", INTEGER, nullable=False),
        sa.Column("step_order", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("attempt_no", sa.Integer(), nullable=False),
        sa.Column("attempt_key", sa.String(), nullable=True),
        sa.Column("progress", sa.Integer(), nullable=False),
        sa.Column("reconciliation_id", INTEGER, nullable=False),
        sa.Column("matched_records", INTEGER, nullable=False),
        sa.Column("exception_count", INTEGER, nullable=False),
        sa.Column("error_message", sa.String(), nullable=True),
        sa.Column("error_class", sa.String(), nullable=True),
        sa.Column("started_at", TIME, nullable=True),
        sa.Column("completed_at", TIME, nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["reconciliation_id"],
            ["reconciliations.id"],
        ),
        sa.ForeignKeyConstraint(
            ["run_id"],
            ["runs.id"],
        ),
        sa.ForeignKeyConstraint(
            ["step_id"],
            ["steps.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("run_id", "step_order"),
    )
    op.create_index("ix_step_runs_reconciliation_id", "step_runs", ["reconciliation_id"])
    op.create_index("ix_step_runs_run_id", "step_runs", ["run_id"])
    op.create_index("ix_step_runs_step_id", "step_runs", ["step_id"])

    op.create_table(
        "artifacts",
        sa.Column("id", INTEGER, nullable=False),
        sa.Column("step_run_id", INTEGER, nullable=False),
        sa.Column("artifact_type", sa.String(), nullable=False),
        sa.Column("file_id", INTEGER, nullable=False),
        sa.Column("storage_path", sa.String(), nullable=False),
        sa.Column("checksum", sa.String(), nullable=False),
        sa.Column("row_count", INTEGER, nullable=False),
        sa.Column("schema_snapshot", JSON_VALUE, nullable=False),
        sa.Column("retention_policy", JSON_VALUE, nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("expires_at", TIME, nullable=True),
        sa.ForeignKeyConstraint(
            ["file_id"],
            ["files.id"],
        ),
        sa.ForeignKeyConstraint(
            ["step_run_id"],
            ["step_runs.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("step_run_id", "artifact_type"),
    )
    op.create_index("ix_artifacts_file_id", "artifacts", ["file_id"])
    op.create_index("ix_artifacts_step_run_id", "artifacts", ["step_run_id"])

    op.create_table(
        "breaks",
        sa.Column("id", INTEGER, nullable=False),
        sa.Column("organization_id", INTEGER, nullable=False),
        sa.Column("reconciliation_id", INTEGER, nullable=False),
        sa.Column("step_run_id", INTEGER, nullable=False),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("severity", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("field_name", sa.String(), nullable=True),
        sa.Column("source_value", sa.String(), nullable=True),
        sa.Column("target_value", sa.String(), nullable=True),
        sa.Column("delta", sa.String(), nullable=True),
        sa.Column("key_text", sa.String(), nullable=True),
        sa.Column("source_file_id", INTEGER, nullable=True),
        sa.Column("source_row", INTEGER, nullable=True),
        sa.Column("target_file_id", INTEGER, nullable=True),
        sa.Column("target_row", INTEGER, nullable=True),
        sa.Column("description", sa.String(), nullable=False),
        sa.Column("ai_suggestion", sa.String(), nullable=True),
        sa.Column("resolution", sa.String(), nullable=True),
        sa.Column("resolved_by", sa.String(), nullable=True),
        sa.Column("resolved_at", TIME, nullable=True),
        sa.Column("acknowledged_at", TIME, nullable=True),
        sa.Column("reviewed_at", TIME, nullable=True),
        sa.Column("ignored_at", TIME, nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organizations.id"],
        ),
        sa.ForeignKeyConstraint(
            ["reconciliation_id"],
            ["reconciliations.id"],
        ),
        sa.ForeignKeyConstraint(
            ["step_run_id"],
            ["step_runs.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_breaks_organization_id", "breaks", ["organization_id", "id"])
    op.create_index("ix_breaks_reconciliation_id", "breaks", ["reconciliation_id", "id"])
    organizations = sa.table("organizations", sa.column("name", sa.String()), sa.column("created_at", TIME))
    op.execute(organizations.insert().values(name="Default Organization", created_at=sa.func.current_timestamp()))


def downgrade() -> None:
    op.drop_table("breaks")
    op.drop_table("artifacts")
    op.drop_table("step_runs")
    op.drop_table("lineage_events")
    op.drop_table("steps")
    op.drop_table("runs")
    op.drop_table("matching_rules")
    op.drop_table("field_mappings")
    op.drop_table("streams")
    op.drop_table("rule_sets")
    op.drop_table("reconciliations")
    op.drop_table("files")
    op.drop_table("rule_set_versions")
    op.drop_table("organizations")
