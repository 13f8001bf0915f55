"""The examples of the streams contract by operation: bodies of requests, and `data` of answers with what answers have beside it."""

from __future__ import annotations

from typing import Any

_STEPS: list[dict[str, Any]] = [
    {
        "stepOrder": 1,
        "name": "Orders vs Marketplace",
        "sourceInput": {"type": "FILE", "id": 1001},
        "targetInput": {"type": "FILE", "id": 1002},
        "ruleSetId": 55,
        "config": {"continueOnFailure": False, "maxRetries": 1},
    },
    {
        "stepOrder": 2,
        "name": "Remaining Orders vs Gateway",
        "sourceInput": {"type": "STEP_OUTPUT_UNMATCHED_SOURCE", "id": 1},
        "targetInput": {"type": "FILE", "id": 1003},
        "ruleSetId": 56,
        "config": {"continueOnFailure": True, "maxRetries": 2},
    },
]
_STREAM: dict[str, Any] = {
    "name": "E-commerce Settlement Stream",
    "description": "OMS to marketplace to gateway to bank",
    "domain": "ECOMMERCE",
    "triggerType": "SCHEDULED",
    "triggerConfig": {"cron": "0 30 2 * * *", "timezone": "UTC"},
}

REQUESTS: dict[str, Any] = {
    "createStream": {**_STREAM, "steps": _STEPS},
    "createStreamRun": {
        "triggerType": "MANUAL",
        "triggerMetadata": {"requestedBy": "amit@company.com", "reason": "Month-end close run"},
    },
}

RESPONSES: dict[str, Any] = {
    "createStream": {
        "id": 9001,
        "name": "E-commerce Settlement Stream",
        "status": "ACTIVE",
        "domain": "ECOMMERCE",
        "stepCount": 2,
        "createdAt": "2026-02-21T06:00:00Z",
        "updatedAt": "2026-02-21T06:00:00Z",
    },
    "getStream": {
        "id": 9001,
        **_STREAM,
        "status": "ACTIVE",
        "steps": [{"id": 9101, **_STEPS[0]}],
        "createdAt": "2026-02-21T06:00:00Z",
        "updatedAt": "2026-02-21T06:10:00Z",
    },
    "validateStream": {
        "valid": True,
        "errors": [],
        "warnings": [
            {
                "code": "STEP_TARGET_FILE_LARGE",
                "message": "Step 2 target file has 1.2M rows; consider schedule window.",
            }
        ],
    },
    "createStreamRun": {
        "runId": 9201,
        "streamId": 9001,
        "status": "PENDING",
        "currentStepOrder": 0,
        "startedAt": None,
        "createdAt": "2026-02-21T06:20:00Z",
    },
    "getStreamRun": {
        "id": 9201,
        "streamId": 9001,
        "status": "RUNNING",
        "currentStepOrder": 2,
        "metrics": {
            "totalSteps": 3,
            "completedSteps": 1,
            "failedSteps": 0,
            "matchedRecords": 142200,
            "exceptionCount": 187,
        },
        "errorMessage": None,
        "resumedFrom": None,
        "startedAt": "2026-02-21T06:21:00Z",
        "completedAt": None,
        "createdAt": "2026-02-21T06:20:00Z",
        "updatedAt": "2026-02-21T06:26:00Z",
    },
    "listStreamRunSteps": [
        {
            "id": 9301,
            "runId": 9201,
            "stepId": 9101,
            "stepOrder": 1,
            "status": "COMPLETED",
            "attemptNo": 1,
            "progress": 100,
            "reconciliationId": 12001,
            "startedAt": "2026-02-21T06:21:00Z",
            "completedAt": "2026-02-21T06:23:10Z",
        },
        {
            "id": 9302,
            "runId": 9201,
            "stepId": 9102,
            "stepOrder": 2,
            "status": "IN_PROGRESS",
            "attemptNo": 1,
            "progress": 54,
            "reconciliationId": 12002,
            "startedAt": "2026-02-21T06:23:20Z",
            "completedAt": None,
        },
    ],
    "listStepRunArtifacts": [
        {
            "id": 9401,
            "artifactType": "UNMATCHED_SOURCE",
            "fileId": 50021,
            "filename": "stream_9201_step_1_unmatched_source.csv",
            "rowCount": 834,
            "checksum": "sha256:abc123...",
            "downloadUrl": "/api/v1/files/50021/download",
            "createdAt": "2026-02-21T06:23:11Z",
        }
    ],
    "cancelStreamRun": {"runId": 9201, "status": "CANCELED", "completedAt": "2026-02-21T06:27:00Z"},
}
