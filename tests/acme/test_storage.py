"""The files of the storage: where they are, and that they are replaced as a whole."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from l7.acme import storage
from l7.config.sections.tls import Acme


def settings(path: Path, directory: str = "https://ca.example/dir") -> Acme:
    return Acme.model_validate({"email": "me@example.com", "storage": str(path), "directory": directory})


def test_each_authority_has_a_directory_of_its_own(tmp_path):
    folders = {
        storage.folder_of(settings(tmp_path, url))
        for url in (
            "https://ca.example/dir",
            "https://ca.example:8443/dir",
            "https://ca.example/other",
            "https://b/dir",
        )
    }
    assert len(folders) == 4
    assert all(os.path.dirname(folder) == str(tmp_path) for folder in folders)


@pytest.mark.parametrize("name", ["../a.pem", "a/b.pem", "a", "", ".pem", ".a.pem.new", "a.pem\n", "a.key", "A.pem"])
def test_other_names_are_no_files_of_it(tmp_path, name):
    with pytest.raises(ValueError, match="no file of the storage"):
        storage.path_of(settings(tmp_path), name)


def test_a_file_is_its_owners_alone_and_replaced_as_a_whole(tmp_path):
    acme = settings(tmp_path / "made" / "here")
    path = Path(storage.path_of(acme, storage.certificate_name("a.test")))
    storage.write_file(str(path), b"one")
    before = path.stat().st_ino
    (path.parent / ".a.test.pem.new").write_bytes(b"left by one who was stopped")
    storage.write_file(str(path), b"two")
    assert path.read_bytes() == b"two"
    assert path.stat().st_ino != before, "who reads the old one goes on reading that"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [one.stat().st_mode & 0o777 for one in (path.parent, path.parent.parent)] == [0o700, 0o700]
    assert os.listdir(path.parent) == ["a.test.pem"]


def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    path = Path(storage.path_of(settings(tmp_path), storage.ACCOUNT))
    storage.write_file(str(path), b"one")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        storage.write_file(str(path), b"two")
    assert path.read_bytes() == b"one"
    assert os.listdir(path.parent) == [storage.ACCOUNT]


def test_a_link_is_not_followed(tmp_path):
    path = Path(storage.path_of(settings(tmp_path), storage.LOCK))
    storage.make_folders(str(path))
    (tmp_path / "elsewhere").write_text("x")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"):
        storage.open_lock(str(path))
