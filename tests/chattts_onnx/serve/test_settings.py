from __future__ import annotations

from pathlib import Path

import pytest

from chattts_onnx import cli
from chattts_onnx.errors import InputError
from chattts_onnx.serve.settings import ServeSettings, gather, named_bundles, options, variable


def test_the_command_line_goes_before_the_environment() -> None:
    env = {"CHATTTS_SLOTS": "3", "CHATTTS_QUEUE": "5", "CHATTTS_API_KEYS": "a, b,"}
    settings = gather(["bundles/int8"], {"slots": 7}, env)
    assert (settings.slots, settings.queue, settings.api_keys) == (7, 5, ("a", "b"))
    assert settings.bundles == {"int8": Path("bundles/int8")}


def test_bundles_have_names_and_the_first_is_the_default(tmp_path: Path) -> None:
    found = named_bundles(["exact=bundles/fp32", str(tmp_path / "int8")])
    assert list(found) == ["exact", "int8"]
    with pytest.raises(InputError, match="two bundles are called 'int8'"):
        named_bundles(["a/int8", "b/int8"])
    assert gather([], {}, {"CHATTTS_BUNDLE": "a,b=c"}).bundles == {"a": Path("a"), "b": Path("c")}
    with pytest.raises(InputError, match="no bundle to serve"):
        gather([], {}, {})


def test_keys_come_from_a_file(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text("# people\none\n\n two \n")
    assert gather(["b"], {}, {}, keys).api_keys == ("one", "two")
    with pytest.raises(InputError, match="cannot be read"):
        gather(["b"], {}, {}, tmp_path / "none")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("slots", "x", "CHATTTS_SLOTS is 'x'"),
        ("slots", "0", "slots is 0; expected at least 1"),
        ("queue", "-1", "queue is -1"),
        ("request_seconds", "0", "request_seconds is 0.0; expected more than 0"),
        ("log_texts", "maybe", "neither true nor false"),
        ("max_chunk", "3", "expected first_chunk"),
        ("watch_seconds", "-1", "watch_seconds"),
        ("cors_origins", "http://a.example, b.example", "cors_origins has 'b.example'"),
        ("cors_origins", "https://a.example/page", "a page's scheme and host"),
        ("cors_origins", "*://a.example", "cors_origins has"),
        ("allowed_hosts", "tts.example:8000", "without a port"),
        ("allowed_hosts", "http://tts.example", "allowed_hosts has"),
    ],
)
def test_mistakes_are_named(name: str, value: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        gather(["b"], {}, {variable(name): value})


def test_pages_and_names_are_taken_as_people_write_them() -> None:
    given = {"CHATTTS_CORS_ORIGINS": "https://A.example:1/, tauri://localhost,*",
             "CHATTTS_ALLOWED_HOSTS": "tts.example,[fd00::1],10.0.0.1"}  # fmt: skip
    settings = gather(["b"], {}, given)
    assert settings.cors_origins == ("https://A.example:1", "tauri://localhost", "*")
    assert settings.allowed_hosts == ("tts.example", "fd00::1", "10.0.0.1")


def test_every_setting_is_an_option_and_a_variable(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["serve", "--help"])
    told = capsys.readouterr().out
    assert len(options()) > 20
    for entry in options():
        assert "--" + entry.name.replace("_", "-") in told
        assert variable(entry.name) in told.replace("\n", "")
        assert isinstance(
            getattr(ServeSettings({"b": Path("b")}), entry.name), (int, float, str, tuple)
        )


def test_a_missing_bundle_is_said_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["serve", "-b", "nowhere", "--port", "0"]) == 2
    error = capsys.readouterr().err
    assert "BundleError" in error and "Traceback" not in error
