"""`larder check`: put the use cases together, and tell what they found."""

import json
import sys
from dataclasses import dataclass

from services.maintenance.progress import ProgressLine, one_line, run_to_its_end
from shared.backends import open_existing_blobs, open_existing_store
from shared.settings import Settings
from shared.usecases.blob_copies import Tell
from shared.usecases.check import CheckRegistry
from shared.usecases.findings import CheckReport
from shared.usecases.repair import Outcome, RepairRegistry

_CLEAN = 0
_FINDINGS = 1


@dataclass(frozen=True, slots=True)
class CheckOptions:
    """What the operator wants.

    Args:
        is_full: read every blob.
        repairs: mend what can be mended.
        as_json: tell it to a program.
    """

    is_full: bool
    repairs: bool
    as_json: bool


def check(settings: Settings, options: CheckOptions) -> int:
    """Check the registry, tell what was found, and return the exit code: 1 when something is left to be mended."""
    progress = ProgressLine("checked")
    try:
        report, outcomes = run_to_its_end(_check(settings, options, progress.tell))
    finally:
        progress.end()
    _tell(report, outcomes, options)
    left = len(report.findings) - sum(outcome.is_mended for outcome in outcomes)
    return _FINDINGS if left else _CLEAN


async def _check(settings: Settings, options: CheckOptions, tell: Tell) -> tuple[CheckReport, list[Outcome]]:
    async with open_existing_store(settings) as store, open_existing_blobs(settings) as blobs:
        upload_max_seconds = settings.upload_max_seconds
        checking = CheckRegistry(store=store, blobs=blobs, upload_max_seconds=upload_max_seconds, tell=tell)
        report = await (checking.by_content() if options.is_full else checking.by_size())
        if not options.repairs:
            return report, []
        return report, await RepairRegistry(store=store, blobs=blobs, upload_max_seconds=upload_max_seconds)(report)


def _tell(report: CheckReport, outcomes: list[Outcome], options: CheckOptions) -> None:
    if options.as_json:
        json.dump(_as_json(report, outcomes), sys.stdout, indent=2, ensure_ascii=False)
        print()
        return
    told = {id(outcome.finding): outcome for outcome in outcomes}
    for finding in report.findings:
        line = f"{finding.kind}: {finding.target}: {finding.problem}"
        outcome = told.get(id(finding))
        if outcome is not None:
            line += f" -- {'mended' if outcome.is_mended else 'not mended'}: {outcome.told}"
        print(one_line(line))
    for note in report.notes:
        print(one_line(f"note: {note}"))
    print(_summary(report, outcomes, options))


def _summary(report: CheckReport, outcomes: list[Outcome], options: CheckOptions) -> str:
    looked_at = ", ".join(f"{number} {name}" for name, number in report.checked.items())
    how = "every byte read" if options.is_full else "sizes only; --full reads every byte"
    found = "clean" if not report.findings else f"{len(report.findings)} findings"
    if outcomes:
        found += f", {sum(outcome.is_mended for outcome in outcomes)} mended"
    return f"{found} ({looked_at}; {how})"


def _as_json(report: CheckReport, outcomes: list[Outcome]) -> dict[str, object]:
    told = {id(outcome.finding): outcome for outcome in outcomes}
    findings: list[dict[str, object]] = []
    for finding in report.findings:
        entry: dict[str, object] = {"kind": finding.kind, "target": finding.target, "problem": finding.problem}
        outcome = told.get(id(finding))
        if outcome is not None:
            entry |= {"mended": outcome.is_mended, "told": outcome.told}
        findings.append(entry)
    return {"findings": findings, "notes": report.notes, "checked": report.checked}
