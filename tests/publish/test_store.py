"""The store: an entry is there whole or not at all."""

import json
import os
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nld.results import seals, store

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(plain, plain)
def test_equal_contents_have_equal_keys_and_others_do_not(first, second):
    assert store.content_key(first) == store.content_key(json.loads(json.dumps(first)))
    same = json.dumps(first, sort_keys=True) == json.dumps(second, sort_keys=True)
    assert (store.content_key(first) == store.content_key(second)) == same


def test_a_key_does_not_depend_on_the_order_of_names():
    assert store.content_key({"a": 1, "b": 2}) == store.content_key({"b": 2, "a": 1})
    assert store.content_key([1, 2]) != store.content_key([2, 1])


def test_a_failed_write_leaves_the_old_content_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "record.json"
    store.write_atomically(path, "old")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space"):
        store.write_atomically(path, "new")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["record.json"]


def test_a_reader_never_sees_a_part(tmp_path):
    path = tmp_path / "record"
    contents = [letter.encode() * 300_000 for letter in "abc"]
    store.write_atomically(path, contents[0])
    seen, stop = set(), threading.Event()

    def read():
        while not stop.is_set():
            seen.add(path.read_bytes())

    reader = threading.Thread(target=read)
    reader.start()
    for round_ in range(60):
        store.write_atomically(path, contents[round_ % 3])
    stop.set()
    reader.join()
    assert seen
    assert seen <= set(contents)


def test_written_files_can_be_read_by_others(tmp_path):
    store.write_atomically(tmp_path / "deep" / "file", "text")
    assert (tmp_path / "deep" / "file").stat().st_mode & 0o777 == 0o644


def test_an_entry_appears_when_the_block_ends(tmp_path):
    path = tmp_path / "figures" / "key"
    with store.new_entry(path) as folder:
        (folder / "data").write_text("1")
        assert not path.exists()
    assert (path / "data").read_text() == "1"
    assert seals.flaw(path) == ""
    assert os.listdir(path.parent) == ["key"]


def test_an_entry_replaces_the_one_before(tmp_path):
    path = tmp_path / "key"
    for text in ("old", "new"):
        with store.new_entry(path) as folder:
            (folder / text).write_text(text)
    assert sorted(os.listdir(path)) == ["SHA256SUMS", "new"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_entry_vanishes_when_the_block_fails_and_the_one_before_stays(tmp_path, error):
    path = tmp_path / "key"
    with store.new_entry(path) as folder:
        (folder / "old").touch()

    def fail():
        with store.new_entry(path) as folder:
            (folder / "new").touch()
            raise error

    with pytest.raises(error):
        fail()
    assert sorted(os.listdir(path)) == ["SHA256SUMS", "old"]
    assert os.listdir(tmp_path) == ["key"]


def test_the_root_is_where_the_environment_says(tmp_path, monkeypatch):
    monkeypatch.setenv("NLD_STORE", str(tmp_path / "elsewhere"))
    assert store.root() == tmp_path / "elsewhere"
    monkeypatch.delenv("NLD_STORE")
    monkeypatch.chdir(tmp_path)
    assert store.root() == Path.cwd() / ".nld"
