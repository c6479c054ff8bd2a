"""What an error of the server means, where only its words are left."""

from __future__ import annotations

import errno

import pytest

from skyops_assets.warehouse.trouble import explain, explain_text


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ('Database Error in model fct_flights\n  could not extend file "base/5/1": No space left '
         "on device\n  HINT:  Check.", "The disk of the warehouse's server is full"),
        ("OSError: [Errno 28] No space left on device: '/x'", "The disk is full (OSError"),
        ("permission denied for schema raw", "may not do this (permission denied for schema raw)"),
        ("must be owner of table x", "may not do this"),
        ("cannot execute INSERT in a read-only transaction", "is now read-only"),
        ("FATAL:  sorry, too many clients already", "has no connection left (sorry, too many"),
        ("ERROR:  canceling statement due to statement timeout",
         "stopped a statement (canceling statement due to statement timeout). Set statement_time"),
        ('connection to server at "h" (1.2.3.4), port 5432 failed: Connection refused',
         "cannot be reached (connection to server"),
    ],
)  # fmt: skip
def test_words_become_one_sentence(words: str, said: str) -> None:
    found = explain_text(words)
    assert found is not None and said in found and "\n" not in found


def test_an_error_of_our_own_stays_as_it_is() -> None:
    assert explain(ValueError("column x does not exist")) is None
    assert explain(OSError(errno.ENOENT, "No such file")) is None


def test_the_cause_is_found_below_what_is_raised_from_it() -> None:
    try:
        try:
            raise OSError(errno.ENOSPC, "No space left on device")
        except OSError as error:
            raise RuntimeError("a step failed") from error
    except RuntimeError as error:
        assert "The disk is full" in str(explain(error))
