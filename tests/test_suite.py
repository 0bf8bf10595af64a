"""What holds for the suite itself."""

import re
import tomllib

from hypothesis import is_hypothesis_test, settings

from locations import ROOT


def test_no_test_has_a_deadline(request):
    tests = [item.obj for item in request.session.items if is_hypothesis_test(getattr(item, "obj", None))]
    assert settings.default.deadline is None
    assert [test.__name__ for test in tests if _settings(test).deadline is not None] == []


def _settings(test):
    return getattr(test, "_hypothesis_internal_use_settings", None) or settings.default


def test_what_the_parts_of_ci_may_take_adds_up_to_59_minutes():
    table = re.findall(r"(?m)^#   (.+?)  +(\d+) min", (ROOT / ".ci/run").read_text())
    *parts, (name, together) = [(name, int(minutes)) for name, minutes in table]
    assert name == "together"
    assert sum(minutes for _, minutes in parts) == together == 59


def test_nothing_installs_the_other_program():
    """`pip install imgtool` gets a signer of firmware images; extras refer to the distribution's own name."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert all(each.startswith(f"{project['name']}[") for each in project["optional-dependencies"]["all"])
    texts = [
        *(ROOT / "imgtool").rglob("*.py"),
        *(ROOT / "docs").rglob("*.md"),
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
    ]
    for path in texts:
        assert not re.search(r"pip install \S*imgtool(?!-cv)\b", path.read_text()), path
