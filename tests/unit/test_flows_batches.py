"""Sessions are computed in batches: by day where there are many, by weeks where there are few."""

from datetime import UTC, datetime, timedelta

from flows.sessions import batches

MONTH = timedelta(days=31)
FIRST = datetime(2019, 1, 1, 12, tzinfo=UTC)


def begun(*days: int) -> list[dict[str, object]]:
    return [
        {"transaction_id": number, "started_at": FIRST + timedelta(days=day)}
        for number, day in enumerate(days)
    ]


def test_quiet_days_share_a_batch():
    assert list(batches(begun(0, 1, 2, 3, 4), 3, MONTH)) == [[0, 1, 2], [3, 4]]


def test_a_day_is_not_parted_where_it_fits():
    assert list(batches(begun(0, 0, 1, 1, 2), 3, MONTH)) == [[0, 1], [2, 3, 4]]


def test_a_busy_day_takes_as_many_as_it_needs():
    assert list(batches(begun(0, 0, 0, 0, 0, 1, 1), 2, MONTH)) == [[0, 1], [2, 3], [4], [5, 6]]


def test_no_batch_spans_more_than_a_month():
    assert list(batches(begun(0, 30, 31, 61, 62), 10, MONTH)) == [[0, 1], [2, 3], [4]]


def test_nothing_is_no_batch():
    assert list(batches([], 10, MONTH)) == []
