"""examples/chat/names.py: which names are names, and which look alike."""

# ruff: noqa: RUF001 - that is what this is about

from __future__ import annotations

import runpy
from typing import Any

import pytest

from support.chat import CHAT

names: Any = runpy.run_path(str(CHAT / "names.py"))
Refused = names["Refused"]


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("Ada", "Ada"),
        ("  Ada  \n", "Ada"),
        ("Ada   Lovelace", "Ada Lovelace"),
        ("小\u3000明", "小 明"),
        ("Jose\u0301", "Jos\u00e9"),
        ("<script>alert(1)</script", "<script>alert(1)</script"),
        ("'; DROP TABLE x; --", "'; DROP TABLE x; --"),
        ("❤\ufe0f", "❤\ufe0f"),
        ("a@b", "a@b"),
        ("x" * 24, "x" * 24),
        ("名" * 24, "名" * 24),
    ],
)
def test_a_name_is_shown_composed_and_with_single_spaces(given: str, shown: str) -> None:
    assert names["cleaned_name"](given) == shown


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ("", "empty"),
        (" \t\n\u3000", "empty"),
        ("x" * 25, "long"),
        ("x" * 1_000_000, "long"),
        ("a\nb", "characters"),
        ("a\tb", "characters"),
        ("a\0b", "characters"),
        ("a\u2028b", "characters"),
        ("a\u200bb", "characters"),
        ("a\u202eb", "characters"),
        ("a\u3164", "characters"),
        ("\u2800", "characters"),
        ("a\ufe01", "characters"),
        ("a\U000e0101", "characters"),
        ("\u0301a", "characters"),
        ("\ufe0f", "characters"),
        ("\ue000", "characters"),
        ("@Ada", "characters"),
        ("\uff20Ada", "characters"),
    ],
)
def test_what_is_no_name_is_refused_with_the_reason(given: str, code: str) -> None:
    with pytest.raises(Refused) as refused:
        names["cleaned_name"](given)
    assert refused.value.answer == {"error": code}


ALIKE = [
    ("Ada", "ada"),
    ("Ada", "АDА"),
    ("Ada", "Аda"),
    ("Ada", "\uff21\uff44\uff41"),
    ("Ada", "𝓐𝓭𝓪"),
    ("straße", "STRASSE"),
    ("Navy", "Νaνy"),
    ("Ava", "Aνa"),
    ("NORA", "ΝΟRΑ"),
    ("Bob", "B0b"),
    ("Al", "A1"),
    ("All", "AlI"),
    ("Ilya", "llya"),
    ("Вова", "Boвa"),
    ("❤", "❤\ufe0f"),
]


@pytest.mark.parametrize(("one", "other"), ALIKE)
def test_names_that_differ_by_case_width_or_letters_of_the_same_shape_look_alike(one: str, other: str) -> None:
    assert names["skeletons"](one) & names["skeletons"](other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("Ada", "Ida"), ("José", "Jose"), ("Ali", "All"), ("小明", "小红"), ("Mike", "Nike"), ("Анна", "Яна")],
)
def test_other_names_do_not(one: str, other: str) -> None:
    assert not names["skeletons"](one) & names["skeletons"](other)


def test_a_text_keeps_its_lines_and_loses_its_control_characters() -> None:
    assert names["cleaned_text"]("  a\r\nb\tc\0\x1b[31m\x7f ") == "a\nb\tc[31m"
    assert names["cleaned_text"]("👩\u200d💻") == "👩\u200d💻"
    assert names["cleaned_text"]("x" * 2000) == "x" * 2000


@pytest.mark.parametrize(
    ("text", "code"),
    [("", "empty"), (" \n ", "empty"), ("\0\x01", "empty"), ("x" * 2001, "long"), ("x" * 10**6, "long")],
)
def test_what_is_no_text_is_refused_with_the_reason(text: str, code: str) -> None:
    with pytest.raises(Refused) as refused:
        names["cleaned_text"](text)
    assert refused.value.answer == {"error": code}
