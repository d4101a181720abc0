"""Secrets in URLs: taken out of what is shown, refused as parameters."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.errors import UsageError
from infra.redact import redact, refuse_secrets

WORDS = st.text("abcdefghijklmnopqrstuvwxyzABCDEF0123456789-_~.%", min_size=6, max_size=30)


@given(user=WORDS, password=WORDS, path=WORDS)
def test_credentials_of_a_url_are_hidden_wherever_it_stands(user: str, password: str, path: str) -> None:
    text = f"cannot open s3://{user}:{password}@host/{path}.mp4: refused"
    assert redact(text) == f"cannot open s3://***@host/{path}.mp4: refused"


@pytest.mark.parametrize(
    "name", ["X-Amz-Signature", "X-Amz-Credential", "X-Amz-Security-Token", "sig", "token", "api_key", "AWSAccessKeyId"]
)
@given(value=WORDS)
def test_values_that_grant_access_are_hidden(name: str, value: str) -> None:
    assert value not in redact(f"https://h/clip.mp4?part=1&{name}={value}&n=2").replace("clip.mp4?part=1", "")
    assert redact(f"https://h/v?n=2&{name}={value}").startswith("https://h/v?n=2&")


def test_what_grants_nothing_stays() -> None:
    plain = "https://host:8080/a@b/clip.mp4?part=3&speed=2 by someone@example.org"
    assert redact(plain) == plain
    refuse_secrets(plain, "/videos", "s3://bucket/videos")


def test_a_parameter_with_a_secret_is_refused_without_repeating_it() -> None:
    with pytest.raises(UsageError, match=r"https://\*\*\*@host/v carries credentials") as refusal:
        refuse_secrets("/videos", "https://bob:hunter2@host/v")
    assert "hunter2" not in str(refusal.value)
