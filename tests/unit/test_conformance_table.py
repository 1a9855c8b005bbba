"""The committed table of conformance is whole."""

from tests.conformance_table import CATALOGUE, TABLE, Results, cases_in, table


def test_every_case_of_the_catalogue_has_passed():
    cases = cases_in(TABLE.read_text())

    assert set(CATALOGUE) | {"extra"} == set(cases)
    assert all(results == {"passed"} for results in cases.values())


def test_one_failure_among_the_tests_of_a_row_fails_it():
    results = Results(
        cases={"t.py::a[1]": [("001", "boot")], "t.py::a[2]": [("001", "boot")]},
        passed={"t.py::a[1]"},
        failed={"t.py::a[2]"},
    )

    assert results.rows() == [("001", "boot", "t::a", "FAILED")]
    assert cases_in(table(results.rows())) == {"001": {"FAILED"}}
