"""What holds for the suite itself."""

from hypothesis import is_hypothesis_test, settings


def test_no_test_has_a_deadline(request):
    tests = [item.obj for item in request.session.items if is_hypothesis_test(getattr(item, "obj", None))]
    assert settings.default.deadline is None
    assert [test.__name__ for test in tests if _settings(test).deadline is not None] == []


def _settings(test):
    return getattr(test, "_hypothesis_internal_use_settings", None) or settings.default
