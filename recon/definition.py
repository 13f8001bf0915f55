"""A stream as code: what is matched with what, in which order, under which rules."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from os import PathLike
from typing import TYPE_CHECKING, Any

from matching import spec
from matching.errors import ReconError
from models.errors import ValidationFailed
from recon.given import Given, Input, StepOutput, input_of
from recon.rule_sets import Rules, RuleSet, severities_of

if TYPE_CHECKING:
    from recon.deploying import Deployment
    from recon.results import StreamResult

SIDES = ("source", "target")


@dataclass(frozen=True, eq=False)
class Step:
    """One match of a source with a target.

    `rules` may be a RuleSet, its JSON object, or the path of a file that holds one. `continue_on_failure`: if this step fails,
    steps that don't read what it leaves go on. `max_retries`: attempts after the first where something was out of reach.
    `timeout_seconds`: a server ends an attempt that takes longer, and tries again if it may; in this process it is not watched.
    `severities`: by break type, before those of the rule set. Raises ValidationFailed, naming step and field.
    """

    name: str
    source: Given
    target: Given
    rules: Rules
    continue_on_failure: bool = False
    max_retries: int = 0
    timeout_seconds: float | None = None
    severities: spec.Severities | Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        if not self.name.strip():
            raise ValidationFailed("A step needs a name", fields={"name": "a text that is not blank"})
        for side in SIDES:
            given = getattr(self, side)
            if isinstance(given, Step):
                self._refuse(side, f"a step has two outputs: {given.name!r}.unmatched_source or .unmatched_target")
            self._checked(side, lambda side=side: self.input(side))
        self._checked("rules", lambda: self.rule_set)
        self._checked("severities", lambda: self.own_severities)
        if self.max_retries < 0:
            self._refuse("max_retries", f"a number from 0, got {self.max_retries}")
        if self.timeout_seconds is not None and not self.timeout_seconds > 0:
            self._refuse("timeout_seconds", f"a number above 0, got {self.timeout_seconds}")

    @property
    def unmatched_source(self) -> StepOutput:
        """What this step leaves of its source, as an input of a later step."""
        return StepOutput(self.name, "source")

    @property
    def unmatched_target(self) -> StepOutput:
        """What this step leaves of its target, as an input of a later step."""
        return StepOutput(self.name, "target")

    @property
    def rule_set(self) -> RuleSet:
        return RuleSet.read(self.rules)

    @property
    def own_severities(self) -> spec.Severities | None:
        return severities_of(self.severities)

    def input(self, side: str) -> Input | StepOutput:
        """The input of a side, "source" or "target"."""
        given = _output_or(getattr(self, side))
        return given if isinstance(given, StepOutput) else input_of(given)

    def _checked(self, field: str, look: Callable[[], object]) -> None:
        try:
            look()
        except ReconError as error:
            self._refuse(field, error.message, error)

    def _refuse(self, field: str, text: str, cause: Exception | None = None) -> None:
        raise ValidationFailed(f"Step '{self.name}', {field}: {text}", fields={field: text}, step=self.name) from cause


class Stream:
    """Steps in order; a later one may read what an earlier one left without a partner.

        first = Step("Orders vs marketplace", "orders.csv", "marketplace.parquet", RuleSet.of("order_id", "amount:0.01"))
        rest = Step("The rest vs bank", first.unmatched_source, "s3://bucket/bank.csv", RuleSet.of("order_id"))
        result = Stream("Settlement", [first, rest]).run()
        result.steps["The rest vs bank"].unmatched_source

    A step may be a dict of Step's fields, with `{"step": NAME, "output": "unmatched_source"}` for what an earlier one left.
    `domain` is one of the API's, such as BANKING or ECOMMERCE. Raises ValidationFailed, naming step and field.
    """

    def __init__(
        self,
        name: str,
        steps: Sequence[Step | Mapping[str, Any]],
        *,
        description: str | None = None,
        domain: str = "GENERAL",
    ) -> None:
        if not name.strip():
            raise ValidationFailed("A stream needs a name", fields={"name": "a text that is not blank"})
        self.name = name
        self.steps = tuple(_step_of(one, number) for number, one in enumerate(steps, start=1))
        self.description = description
        self.domain = domain
        self._check_order()

    def run(
        self,
        *,
        memory: int | str | None = None,
        work_dir: str | PathLike[str] | None = None,
        on_progress: Callable[[str, float], None] | None = None,
        raise_on_failure: bool = True,
    ) -> StreamResult:
        """Runs the steps in this process, without any server, and gives what they leave as frames.

        `memory` (bytes, or such as "4GB"; default RECON_MATCH_MEMORY) bounds a match: what needs more works in `work_dir`, a
        directory with room (default: the system's own for temporary files). `on_progress` is told a step's name and the part of
        it that is done, 0 to 1. Raises RunFailed, which holds the result, if the run is FAILED: a PARTIAL_FAILED one, whose
        failures were all tolerated, is given back.
        """
        from recon.running import run_stream

        return run_stream(
            self, memory=memory, work_dir=work_dir, on_progress=on_progress, raise_on_failure=raise_on_failure
        )

    def deploy(
        self,
        *,
        cron: str | None = None,
        timezone: str = "UTC",
        trigger: Mapping[str, Any] | None = None,
        api_url: str | None = None,
        token: str | None = None,
    ) -> Deployment:
        """Creates or updates the stream of this name at a running Recon Streams (`recon up`), and with it its Prefect deployment.

        `cron` has six fields, seconds first, or five, and is read in `timezone`. `trigger` is any other trigger: a dict with
        `triggerType` and `triggerConfig` as in POST /streams. Inputs are uploaded: files as they are, what is at a URL as it is
        now, frames as Parquet. `api_url` (default RECON_API_URL) and `token` (default RECON_API_TOKEN) say where.

        Raises RequestRefused with the API's own words, DependencyDown, ValidationFailed, and what reading the inputs raises.
        """
        from recon.deploying import deploy

        return deploy(self, cron=cron, timezone=timezone, trigger=trigger, api_url=api_url, token=token)

    def __repr__(self) -> str:
        return f"Stream({self.name!r}, {[one.name for one in self.steps]})"

    def _check_order(self) -> None:
        if not self.steps:
            raise ValidationFailed(
                f"Stream '{self.name}' needs at least one step", fields={"steps": "at least one Step"}
            )
        earlier: list[str] = []
        for step in self.steps:
            if step.name in earlier:
                raise ValidationFailed(
                    f"Two steps are named '{step.name}'; give each a name of its own",
                    fields={"name": "each step needs a name of its own"},
                    step=step.name,
                )
            for side in SIDES:
                given = step.input(side)
                if isinstance(given, StepOutput) and given.step not in earlier:
                    there = ", ".join(f"'{one}'" for one in earlier) or "none"
                    text = f"{given} is not there before it; earlier steps: {there}"
                    raise ValidationFailed(
                        f"Step '{step.name}', {side}: {text}", fields={side: text}, step=step.name, available=earlier
                    )
            earlier.append(step.name)


def _step_of(given: Step | Mapping[str, Any], number: int) -> Step:
    if isinstance(given, Step):
        return given
    known = [one.name for one in fields(Step)]
    unknown = [one for one in given if one not in known]
    missing = [one for one in known[:4] if one not in given]
    if unknown or missing:
        called = f"Step {number}" + (f" '{given['name']}'" if "name" in given else "")
        wrong = dict.fromkeys(unknown, "unknown") | dict.fromkeys(missing, "missing")
        listed = ", ".join(f"'{one}' is {text}" for one, text in wrong.items())
        raise ValidationFailed(f"{called}: {listed}; a step has: {', '.join(known)}", fields=wrong, available=known)
    return Step(**given)


def _output_or(given: Any) -> Any:
    if not isinstance(given, Mapping):
        return given
    outputs = {"unmatched_source": "source", "unmatched_target": "target"}
    if set(given) != {"step", "output"} or given["output"] not in outputs:
        raise ValidationFailed(
            f"{dict(given)} is no input; what an earlier step left is "
            '{"step": its name, "output": "unmatched_source" or "unmatched_target"}'
        )
    return StepOutput(str(given["step"]), "source" if given["output"] == "unmatched_source" else "target")
