"""The page of all settings: fresh, complete, and its example loads."""

from __future__ import annotations

from pathlib import Path

import pytest

from l7.config.reading.flags import settings
from l7.config.reading.yaml_file import parse
from l7.config.rendering.reference import EXAMPLE, page
from l7.config.schema import Backend, Config, Resolver, Section, Server
from l7.config.sections.backends import BackendTimeouts, Ejection, Health, Queue, Sticky

PAGE = Path(__file__).resolve().parents[2] / "docs" / "configuration.rst"


def test_the_page_is_fresh() -> None:
    assert PAGE.read_text("utf-8") == page(), "run: python -m l7.config.rendering.reference > docs/configuration.rst"


SECTIONS = [Config, Backend, Server, Resolver, BackendTimeouts, Ejection, Health, Queue, Sticky]


@pytest.mark.parametrize("section", SECTIONS)
def test_every_setting_is_on_it_with_its_help(section: type[Section]) -> None:
    text = page()
    for name, info in section.model_fields.items():
        key = name.replace("_", "-")
        assert f"{key}``\n" in text or f"{key}." in text or f"``{key}: " in text
        assert info.description


def test_every_flag_and_variable_is_on_it() -> None:
    text = page()
    for setting in settings():
        assert setting.variable in text
        assert all(f"``{name} {setting.flag.metavar}``" in text for name in setting.flag.names)


def test_its_example_loads() -> None:
    found = parse(EXAMPLE, "example.yml")
    assert found.problems == ()
    assert len(Config.model_validate(found.data, by_alias=True, by_name=False).backends) == 3


def test_it_marks_up_words_once() -> None:
    """A docstring of a section is for the page: it has single backticks, as descriptions have."""
    assert "```" not in page()


def test_what_all_have_is_not_said_to_be_for_backends() -> None:
    assert not [line for line in page().splitlines() if "For all backends" in line and "--defaults-" not in line]
