"""What is said when an extra is not installed."""

from probes.extras import missing, wanted


def test_what_is_there_is_not_missing() -> None:
    assert missing("any", "json") is None
    assert missing("any", "json.no_such_module") is None


def test_what_is_not_there_comes_with_its_remedy() -> None:
    assert missing("fast", "no_such_package.at_all") == wanted("fast")
    assert wanted("fast") == (
        "want the extra 'fast', got none: install sonde[fast] from where sonde came from"
    )
