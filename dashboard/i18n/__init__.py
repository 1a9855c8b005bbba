"""The words of the dashboard: one file per language, the same keys in each."""

import json
from functools import cache
from importlib.resources import files
from typing import Literal, TypeVar

Language = Literal["pt", "en"]
T = TypeVar("T")
DEFAULT: Language = "pt"
LANGUAGES: tuple[Language, ...] = ("pt", "en")
_FILES: dict[Language, str] = {"pt": "pt_BR.json", "en": "en.json"}


@cache
def texts(language: Language) -> dict[str, str]:
    """Every text of a language by key."""
    found = files(__package__).joinpath(_FILES[language]).read_text(encoding="utf-8")
    return dict(json.loads(found))


class Words:
    """The texts of one language: ``words("page.title", name="CP-1")``."""

    def __init__(self, language: Language) -> None:
        self.language = language
        self._texts = texts(language)

    def __call__(self, key: str, /, **values: object) -> str:
        text = self._texts[key]
        return text.format(**values) if values else text

    def known(self, key: str, otherwise: T) -> str | T:
        """The text of a key made from data, or ``otherwise`` where we have none."""
        return self._texts.get(key, otherwise)

    def terms(self, prefix: str, names: str) -> str:
        """Names of one kind, apart by commas, as our texts call them."""
        return ", ".join(self.known(prefix + name, name) for name in names.split(", "))

    def glossed(self, prefix: str, names: str) -> str:
        """Names in their own spelling, which is OCPP's, each with its meaning."""
        told = {name: self.known(prefix + name, "") for name in names.split(", ")}
        return ", ".join(f"{name} – {gloss}" if gloss else name for name, gloss in told.items())


def chosen(value: str | None) -> Language:
    """The language meant by a URL or session value; anything odd means the default."""
    return "en" if value == "en" else DEFAULT
