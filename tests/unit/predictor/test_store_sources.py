"""Sources as a RiskPredictor and a command line give them, and what is told of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from unit.predictor.support import artifact

from riskpredictor_server.store import azure, gcs, s3, words
from riskpredictor_server.store.errors import StoreError
from riskpredictor_server.store.library import new_context, open_source, push, read_any
from riskpredictor_server.store.object_store import Bucket
from riskpredictor_server.store.sources import from_uri, place

SOURCES: list[tuple[dict[str, Any], str]] = [
    ({"s3": {"bucket": "models", "prefix": "risk/v2/"}}, "s3://models/risk/v2"),
    ({"gcs": {"bucket": "models", "prefix": "risk/v2"}}, "gs://models/risk/v2"),
    (
        {"azure": {"account": "hospital", "container": "models", "prefix": "risk"}},
        "az://hospital/models/risk",
    ),
    ({"http": {"url": "https://u:p@models.test/risk/?sig=1"}}, "https://models.test/risk/"),
    ({"oci": {"reference": "registry.test/risk:v2"}}, "oci://registry.test/risk:v2"),
    (
        {"mlflow": {"server": "https://mlflow.test/", "uri": "models:/risk/2"}},
        "models:/risk/2 of https://mlflow.test/",
    ),
    ({"pvc": {"claimName": "models"}}, "the claim models"),
    ({"pvc": {"claimName": "models", "path": "risk/v2"}}, "the claim models/risk/v2"),
    ({"image": {"reference": "registry.test/risk:v2"}}, "the image registry.test/risk:v2"),
]


@pytest.mark.parametrize(("source", "address"), SOURCES, ids=[str(a) for _, a in SOURCES])
def test_a_source_has_a_name_without_anything_secret(source: dict[str, Any], address: str) -> None:
    assert place(source).address == address


@pytest.mark.parametrize(
    ("uri", "source"),
    [
        ("s3://models/risk/v2", {"s3": {"bucket": "models", "prefix": "risk/v2"}}),
        ("gs://models/risk/v2/", {"gcs": {"bucket": "models", "prefix": "risk/v2"}}),
        (
            "az://hospital/models/risk/v2",
            {"azure": {"account": "hospital", "container": "models", "prefix": "risk/v2"}},
        ),
        ("https://models.test/risk", {"http": {"url": "https://models.test/risk"}}),
        ("oci://registry.test/risk:v2", {"oci": {"reference": "registry.test/risk:v2"}}),
        (
            "models:/risk@champion",
            {"mlflow": {"server": "https://mlflow.test", "uri": "models:/risk@champion"}},
        ),
        ("models/v2", {"folder": {"path": "models/v2"}}),
        ("/models/v2", {"folder": {"path": "/models/v2"}}),
    ],
)
def test_a_uri_names_the_same_places(uri: str, source: dict[str, Any]) -> None:
    assert from_uri(uri, "https://mlflow.test") == place(source)


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("s3://models", "s3.prefix: is missing"),
        ("az://hospital/models", "azure.prefix: is missing"),
        ("ftp://models.test/risk", "must begin with s3://"),
        ("models:/risk/2", "the address of the MLflow server is missing"),
    ],
)
def test_a_uri_that_is_none_is_refused_with_the_fix(uri: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        from_uri(uri)


def opened(module: Any, source: dict[str, Any], credentials: dict[str, str] | None = None) -> Any:
    """The store of the library that a source and a Secret make."""
    bucket = module.open(source, new_context(credentials or {}))
    assert isinstance(bucket, Bucket)
    return bucket.store


class TestS3:
    SOURCE = {"bucket": "models", "prefix": "risk/v2"}  # noqa: RUF012

    @pytest.fixture(autouse=True)
    def no_identity(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in (*s3.IDENTITIES, "AWS_ENDPOINT_URL"):
            monkeypatch.delenv(name, raising=False)

    @pytest.mark.parametrize(
        ("more", "endpoint", "virtual"),
        [
            ({}, None, "true"),
            ({"pathStyle": True}, None, "false"),
            ({"bucket": "models.hospital"}, None, "false"),
            ({"endpoint": "https://s3.test/"}, "https://s3.test", "false"),
            ({"endpoint": "https://s3.test", "pathStyle": True}, "https://s3.test", "false"),
            (
                {"endpoint": "https://s3.test:9000", "pathStyle": False},
                "https://models.s3.test:9000",
                "true",
            ),
        ],
        ids=["Amazon", "path style", "dots", "own", "own, path style", "own, virtual host"],
    )
    def test_style_of_addresses(
        self, more: dict[str, Any], endpoint: str | None, virtual: str
    ) -> None:
        config = opened(s3, {**self.SOURCE, **more}).config
        assert config.get("endpoint") == endpoint
        assert config["virtual_hosted_style_request"] == virtual

    def test_an_endpoint_of_the_environment_counts_where_none_is_declared(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://minio.test")
        store = opened(s3, self.SOURCE)
        assert store.config["endpoint"] == "http://minio.test"
        assert store.config["virtual_hosted_style_request"] == "false"
        assert store.client_options["allow_http"] == "true"

    def test_the_secret_signs(self) -> None:
        secret = {
            "AWS_ACCESS_KEY_ID": "AKIA",
            "AWS_SECRET_ACCESS_KEY": "s",
            "AWS_SESSION_TOKEN": "t",
        }
        config = opened(s3, {**self.SOURCE, "region": "eu-west-1"}, secret).config
        assert config["access_key_id"] == "AKIA"
        assert config["secret_access_key"] == "s"
        assert config["token" if "token" in config else "session_token"] == "t"
        assert config["region"] == "eu-west-1"
        assert "skip_signature" not in config

    def test_without_credentials_nothing_is_signed_and_no_identity_of_a_node_is_looked_for(
        self,
    ) -> None:
        assert opened(s3, self.SOURCE).config["skip_signature"] == "true"

    @pytest.mark.parametrize("variable", s3.IDENTITIES)
    def test_an_identity_of_the_pod_signs(
        self, variable: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(variable, "/var/run/secrets/token")
        if variable == "AWS_ACCESS_KEY_ID":
            monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
        monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::1:role/models")
        assert "skip_signature" not in opened(s3, self.SOURCE).config

    @pytest.mark.parametrize(
        ("endpoint", "allowed"),
        [("http://minio.test", "true"), ("https://s3.test", "false")],
    )
    def test_http_is_allowed_where_the_endpoint_says_so(self, endpoint: str, allowed: str) -> None:
        options = opened(s3, {**self.SOURCE, "endpoint": endpoint}).client_options
        assert options["allow_http"] == allowed


class TestGcs:
    SOURCE = {"bucket": "models", "prefix": "risk/v2"}  # noqa: RUF012

    def test_without_a_metadata_server_nothing_is_signed(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("GCE_METADATA_HOST", "127.0.0.1:1")
        monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
        assert opened(gcs, self.SOURCE).config["skip_signature"] == "true"

    def test_a_service_account_that_is_none_is_named(self) -> None:
        with pytest.raises(StoreError, match=r"gs://models/risk/v2: .*service account") as raised:
            opened(gcs, self.SOURCE, {"service-account.json": "{}"})
        assert raised.value.reason == "ModelFetchFailed"


class TestAzure:
    SOURCE = {"account": "hospital", "container": "models", "prefix": "risk/v2"}  # noqa: RUF012

    @pytest.fixture(autouse=True)
    def no_identity(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in azure.IDENTITIES:
            monkeypatch.delenv(name, raising=False)

    @pytest.mark.parametrize(
        ("secret", "field"),
        [
            ({"AZURE_STORAGE_ACCOUNT_KEY": "a2V5"}, "account_key"),
            ({"AZURE_STORAGE_SAS_TOKEN": "?sv=2021&sig=x"}, "sas_key"),
            ({}, "skip_signature"),
        ],
        ids=["key", "SAS", "public"],
    )
    def test_credentials(self, secret: dict[str, str], field: str) -> None:
        config = opened(azure, self.SOURCE, secret).config
        found = {"account_key", "sas_key", "skip_signature"} & set(config)
        assert found == {field}

    def test_an_identity_of_the_pod_signs(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AZURE_FEDERATED_TOKEN_FILE", "/var/run/secrets/azure/token")
        monkeypatch.setenv("AZURE_CLIENT_ID", "c")
        monkeypatch.setenv("AZURE_TENANT_ID", "t")
        assert "skip_signature" not in opened(azure, self.SOURCE).config


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"http": {"url": "ftp://models.test"}}, "must begin with https://"),
        ({"http": {"url": "https://u:p@models.test"}}, "must hold no user name and password"),
        ({"http": {"url": "https://models.test/für uns"}}, "must be percent-encoded"),
        ({"pvc": {"claimName": "c", "path": "../x"}}, "must be a path inside the volume"),
        ({"pvc": {"claimName": "c", "path": "/etc"}}, "must be a path inside the volume"),
    ],
    ids=["scheme", "password", "letters", "out of the volume", "absolute"],
)
def test_a_source_that_cannot_be_read_names_its_field(source: dict[str, Any], message: str) -> None:
    [kind] = source
    with pytest.raises(StoreError, match=rf"spec\.model\.source\.{kind}\..*{message}"):
        place(source).open(new_context())


class TestPush:
    def test_a_folder_holds_what_the_card_lists_and_nothing_more(self, tmp_path: Path) -> None:
        done = push(artifact(), str(tmp_path / "copy"), new_context())
        assert done.reference == str(tmp_path / "copy")
        names = {path.name for path in (tmp_path / "copy").iterdir()}
        assert names == {"card.json", "scorer.json", "model.joblib"}
        assert read_any(str(tmp_path / "copy"), new_context()).keys() == names

    def test_the_card_comes_last(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        written: list[str] = []
        monkeypatch.setattr(Path, "write_bytes", lambda path, _: written.append(path.name))
        push(artifact(), str(tmp_path / "copy"), new_context())
        assert sorted(written) == ["card.json", "model.joblib", "scorer.json"]
        assert written[-1] == "card.json"

    def test_a_store_that_is_read_only_is_named_with_others(self) -> None:
        with pytest.raises(StoreError, match=r"https://models.test/risk: .*or one of s3, gcs"):
            push(artifact(), "https://models.test/risk", new_context())

    def test_a_reader_by_uri(self) -> None:
        reader, address = open_source(str(artifact()), new_context())
        assert address == str(artifact())
        assert reader.read("card.json", 10**6) == (artifact() / "card.json").read_bytes()


class TestWords:
    @pytest.mark.parametrize(
        ("body", "said"),
        [
            (
                "<?xml?><Error><Code>SlowDown</Code><Message>Less</Message><Key>k</Key></Error>",
                "SlowDown Less",
            ),
            ("<Error><Code>NoSuchKey</Code></Error>", "NoSuchKey"),
            (
                '{"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]}',
                "MANIFEST_UNKNOWN manifest unknown",
            ),
            (
                '{"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "no such model"}',
                "RESOURCE_DOES_NOT_EXIST no such model",
            ),
            ('{"error": {"code": 404, "message": "Not Found"}}', "Not Found"),
            ("no\n such   file", "no such file"),
            ("<html><body>nginx</body></html>", ""),
            ("", ""),
            ("[1, 2]", ""),
        ],
    )
    def test_code_and_message_of_an_error(self, body: str, said: str) -> None:
        assert words.of_body(body.encode()) == said

    def test_they_are_short(self) -> None:
        assert len(words.of_body(b"x" * 5000)) == words.LONGEST

    def test_bytes_that_are_no_text_do_no_harm(self) -> None:
        assert words.of_body(b"\xff\xfe\x00") != ""

    def test_queries_go(self) -> None:
        text = words.shorten("see https://a.test/x?X-Amz-Signature=abc&y and http://b.test/z")
        assert text == "see https://a.test/x?... and http://b.test/z"

    def test_values_of_the_secret_go(self) -> None:
        secrets = ["hunter2", "hunter2-longer", "ab"]
        told = words.without_secrets("with hunter2-longer, then hunter2, as ab", secrets)
        assert told == "with ***, then ***, as ab"
