"""What may be opened as root: paths that nobody else can change."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from l7.master.opener.trusted_paths import UntrustedPath, open_to_append, open_to_read
from tests.harness.accounts import NOBODY, root_only

pytestmark = root_only


def content(path: Path) -> str:
    with open(open_to_read(str(path)), encoding="utf-8") as file:
        return file.read()


def test_a_path_of_roots_own_is_read_and_links_are_followed(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir(mode=0o700)
    (tmp_path / "deep" / "file").write_text("words")
    (tmp_path / "relative").symlink_to("deep/../deep/./file")
    (tmp_path / "absolute").symlink_to(tmp_path / "relative")
    (tmp_path / "folder").symlink_to(tmp_path / "deep")
    for name in (
        "deep/file",
        "relative",
        "absolute",
        "folder/file",
        "folder/../deep/file",
    ):
        assert content(tmp_path / name) == "words"


@pytest.mark.parametrize("part", ["folder", "folder/file", "link", "folder/inner"])
def test_a_part_of_another_account_is_named(tmp_path: Path, part: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").write_text("words")
    (tmp_path / "folder" / "inner").symlink_to("file")
    (tmp_path / "link").symlink_to("folder/inner")
    assert content(tmp_path / "link") == "words"
    path = tmp_path / ("folder/file" if part == "folder/file" else "link")
    os.chown(tmp_path / part, NOBODY.pw_uid, -1, follow_symlinks=False)
    with pytest.raises(UntrustedPath, match=f"{tmp_path / part} belongs to account {NOBODY.pw_uid}"):
        open_to_read(str(path))


@pytest.mark.parametrize(("mode", "who"), [(0o775, "group 0"), (0o757, "others")])
def test_a_part_that_others_may_write_is_named(tmp_path: Path, mode: int, who: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").write_text("words")
    for part in ("folder", "folder/file"):
        (tmp_path / part).chmod(mode)
        with pytest.raises(UntrustedPath, match=f"{tmp_path / part} may be written by {who}"):
            open_to_read(str(tmp_path / "folder" / "file"))
        (tmp_path / part).chmod(0o755)
    (tmp_path / "folder").chmod(0o1777)
    assert content(tmp_path / "folder" / "file") == "words"


def test_what_is_no_file_and_what_has_no_end_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "turn").symlink_to("turn")
    for path in (tmp_path / "pipe", tmp_path, Path("/"), Path("/dev/null")):
        with pytest.raises(UntrustedPath):
            open_to_read(str(path))
    with pytest.raises(OSError, match="symbolic links"):
        open_to_read(str(tmp_path / "turn"))
    with pytest.raises(FileNotFoundError):
        open_to_read(str(tmp_path / "none"))


def test_a_file_of_two_names_is_read_where_nobody_else_could_have_made_one(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").write_text("words")
    os.link(tmp_path / "folder" / "file", tmp_path / "secret")
    assert content(tmp_path / "folder" / "file") == "words"
    (tmp_path / "folder").chmod(0o1777)
    with pytest.raises(UntrustedPath, match="has other names"):
        open_to_read(str(tmp_path / "folder" / "file"))


def test_a_log_may_be_in_a_directory_of_others_and_behind_links_of_roots_only(tmp_path: Path) -> None:
    folder, link = tmp_path / "folder", tmp_path / "link"
    folder.mkdir(mode=0o777)
    os.chown(folder, NOBODY.pw_uid, -1)
    link.symlink_to(folder)
    assert open_to_append(str(link / "log"), create=False) is None
    descriptor = open_to_append(str(link / "log"))
    assert descriptor is not None
    os.write(descriptor, b"words")
    os.close(descriptor)
    assert (folder / "log").read_text() == "words"
    os.link(folder / "log", folder / "other")
    (folder / "target").touch()
    (folder / "inner").symlink_to("target")
    os.mkfifo(folder / "pipe")
    for name in ("log", "inner", "pipe", "."):
        with pytest.raises(OSError, match=r"no regular file|levels of symbolic|No such device|s a directory"):
            open_to_append(str(folder / name))
    os.chown(link, NOBODY.pw_uid, -1, follow_symlinks=False)
    with pytest.raises(UntrustedPath, match=f"{link} belongs to account"):
        open_to_append(str(link / "new"))
    with pytest.raises(FileNotFoundError):
        open_to_append(str(tmp_path / "none" / "log"), create=False)
