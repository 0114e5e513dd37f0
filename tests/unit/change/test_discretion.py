import pytest

from runner.change.discretion import discreet, is_secret_name


@pytest.mark.parametrize("name", ["api_key", "API-KEY", "dbPassword", "token", "HF_TOKEN", "aws-secret", "accessKey"])
def test_a_name_tells_that_its_value_is_a_secret(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize("name", ["max_tokens", "tokenizer", "author", "keyboard", "monkey", "lr", "passes"])
def test_a_harmless_name_hides_nothing(name: str) -> None:
    assert not is_secret_name(name)


@pytest.mark.parametrize(
    "text",
    [
        "https://me:SECRET@example.com/x",
        "https://example.com/x?sig=SECRET&a=1",
        "export API_TOKEN=SECRET && run",
        "run --password SECRET",
        "run --api-key=SECRET",
        "password: 'SECRET'",
        "curl -H 'Authorization: Bearer SECRETSECRET'",
        "curl -u me:SECRET https://example.com",
        "curl --user='me:SECRET' https://example.com",
        "git clone https://ghp_SECRETSECRETSECRETSECRET@github.com/a/b",
    ],
)
def test_a_secret_in_a_text_is_left_out(text: str) -> None:
    assert "SECRET" not in discreet(text)


@pytest.mark.parametrize(
    "text",
    [
        "python train.py --lr=0.1",
        "s3://bucket/key.csv",
        "pip install tokenizers==0.13",
        "run {parameter:token}",
        "run -u {parameter:a}:x",
    ],
)
def test_an_ordinary_text_stays_as_it_is(text: str) -> None:
    assert discreet(text) == text
