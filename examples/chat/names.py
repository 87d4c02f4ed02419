"""Which names are names, and which of them look alike."""

from __future__ import annotations

import unicodedata

MAX_NAME = 24
MAX_TEXT = 2000

#: Shown as nothing, although Unicode counts them as letters, marks or symbols.
INVISIBLE = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0")

# Letters of other alphabets, and digits, that have the shape of the letter below them. This is no complete list:
# Unicode's (confusables.txt) has six thousand entries and is a megabyte. Accents tell names apart ("José", "Jose"), and
# pairs of letters are not compared ("rn", "m"). Forms of one letter (fullwidth, script, circled) are NFKC's to undo.
SHAPES = str.maketrans(
    # Cyrillic
    "АВЕЅЗІЈКМНОРСТУХЬԌԚԜаеѕзіјкорсухԁһԛԝѵӏ"
    # Greek
    "ΑΒΕΖΗΙΚΜΝΟΡΤΥΧαγικνορυχ"
    # Armenian, Latin of other languages
    "ՕՍօոսհɑɡıƖ"
    # digits and signs
    "01|",
    "ABES3IJKMHOPCTYXbGQWaes3ijkopcyxdhqwvlABEZHIKMNOPTYXayikvopuxOUonuhagiloll",
)
#: Only as it stands: a name in capitals is no other name.
CAPITAL_I = str.maketrans("I", "l")


class Refused(Exception):
    """What a client asked for is not done, and why: it is answered ``{"error": code, ...}``."""

    def __init__(self, code: str, **details: str) -> None:
        super().__init__(code)
        self.answer = {"error": code, **details}


def cleaned_name(name: str) -> str:
    """The name of a user or a room as it will be shown: composed (NFC), with one space between words.

    Raises:
        Refused: ``empty``, ``long`` or ``characters``.
    """
    if len(name) > 40 * MAX_NAME:
        raise Refused("long")  # Composing the rest would be work for nothing.
    name = unicodedata.normalize("NFC", name).strip()
    words = "".join(" " if unicodedata.category(one) == "Zs" else one for one in name).split(" ")
    name = " ".join(filter(None, words))
    if not name:
        raise Refused("empty")
    if len(name) > MAX_NAME:
        raise Refused("long")
    if not all(map(is_visible, name)) or unicodedata.category(name[0])[0] == "M":
        raise Refused("characters")
    if unicodedata.normalize("NFKC", name).startswith("@"):
        raise Refused("characters")  # That is how private messages begin.
    return name


def cleaned_text(text: str) -> str:
    """A message as it is sent on: without control characters, but for line breaks and tabs.

    Raises:
        Refused: ``empty`` or ``long``.
    """
    if len(text) > 2 * MAX_TEXT:
        raise Refused("long")
    text = unicodedata.normalize("NFC", text.replace("\r\n", "\n"))
    text = "".join(one for one in text if one in "\n\t" or unicodedata.category(one) not in ("Cc", "Cs")).strip()
    if not text:
        raise Refused("empty")
    if len(text) > MAX_TEXT:
        raise Refused("long")
    return text


def is_visible(character: str) -> bool:
    """No control, no line break, nothing that is not drawn."""
    category = unicodedata.category(character)
    if category[0] == "C" or category in ("Zl", "Zp") or character in INVISIBLE:
        return False
    # Variation selectors: the two that choose how an emoji is drawn are common.
    return not ("\ufe00" <= character <= "\ufe0d" or "\U000e0100" <= character <= "\U000e01ef")


def skeletons(name: str) -> frozenset[str]:
    """Two names look alike if they have one of these in common.

    The small and the capital form of a letter have different doubles (a capital Greek nu is a Latin N, a small one a
    v), so a name is compared as it stands, in small letters and in capitals.
    """
    name = unicodedata.normalize("NFKC", name).translate({0xFE0E: None, 0xFE0F: None})
    small = unicodedata.normalize("NFKC", name.casefold())
    forms = [form.translate(SHAPES) for form in (name, small, small.upper())]
    forms[0] = forms[0].translate(CAPITAL_I)
    return frozenset(form.casefold() for form in forms)
