@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b"  \n", "empty"),
        (b'{"a": 1', "cut short"),
        (b'{"a": \xff}', "not UTF-8 at byte 6"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b"{} {}", "Extra data"),
        (b"[]", "must be an object, not an array"),
        (b"null", "must be an object, not null"),
        (b'{"a": NaN}', "not JSON"),
    ],
)
def test_what_is_no_config(data: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(data)
    with pytest.raises(SpecError) as caught:
        load(str(path))
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_files_that_are_none(tmp_path: Path) -> None:
    import os

    os.mkfifo(tmp_path / "fifo")
    big = tmp_path / "big"
    with open(big, "wb") as file:
        file.truncate(50 << 20)
    cases = {
        "absent": "no such file",
        "fifo": "not a regular file",
        ".": "not a regular file",
        "big": "larger than 16 MiB",
    }
    for name, words in cases.items():
        with pytest.raises(SpecError, match=words):
            load(str(tmp_path / name))
