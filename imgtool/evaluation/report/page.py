"""The page: its parts in the order in which they are read, from the decision to how it was made."""

from __future__ import annotations

from pathlib import Path

from imgtool.evaluation.compared import Compared
from imgtool.evaluation.report.confusions import confusions_section, worst_section
from imgtool.evaluation.report.curves import curves_section
from imgtool.evaluation.report.data import data_section, remarks_section, settings_section
from imgtool.evaluation.report.markup import Html, join, tag
from imgtool.evaluation.report.models import costs_section, decision, models_section
from imgtool.evaluation.report.pictures import disagreements_section, heat_section, mistakes_section
from imgtool.evaluation.report.reliability import reliability_section
from imgtool.evaluation.report.speed import speed_section
from imgtool.evaluation.report.subject import Subject, subject_of
from imgtool.evaluation.report.wording import counted

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def page(comparison: Compared, *, command: str = "") -> str:
    """Return a comparison as a page of HTML. command: how it was made."""
    subject = subject_of(comparison)
    body = tag(
        "body",
        tag("h1", _title(subject)),
        *decision(subject),
        models_section(subject),
        speed_section(subject),
        confusions_section(subject),
        worst_section(subject),
        mistakes_section(subject),
        disagreements_section(subject),
        reliability_section(subject),
        curves_section(subject),
        heat_section(subject),
        costs_section(subject),
        data_section(subject),
        remarks_section(subject),
        settings_section(subject, command),
    )
    return f"<!doctype html>\n{tag('html', _head(), body, lang='en')}\n"


def _title(subject: Subject) -> Html:
    """Return what was measured on what."""
    data, models = subject.record["path"], len(subject.good) + len(subject.failed)
    images = f"{counted(len(subject.labels), 'held-out image')} of {len(subject.classes)} classes"
    return join([*([tag("bdi", data), ": "] if data else []), f"{counted(models, 'classifier')} on {images}"])


def _head() -> Html:
    """Return the head: what the browser may load (nothing), the style sheet."""
    style = Html(Path(__file__).with_name("style.css").read_text(encoding="utf-8"))
    return tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", "imgtool compare"),
        tag("style", join([style])),
    )
