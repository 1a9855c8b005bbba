"""Writes ``functions.sql``: each function of the database as the last migration left it.

A migration that changes a function has the whole of it once more, and those before are never
edited, so one cannot tell by looking which text counts. In the file each stands once. Nothing
applies it: a test lays it over a database that has all migrations, and nothing may change.

    python -m sql.functions
"""

import re
from dataclasses import dataclass
from pathlib import Path

from sql.migrations import Migration, available

FILE = Path(__file__).with_name("functions.sql")
_HEAD = """\
-- Each function of the database as the last migration left it, by name. For reading: nothing
-- applies this file. To change a function, write it whole into a new migration; then
-- `python -m sql.functions` writes this anew. (dojot_extra_attributes is not here:
-- 0013_dojot_limits.sql puts it together when it runs.)
"""
# What is said above it, and the statement to the end of its body.
_STATEMENT = re.compile(
    r"""
    (?P<remarks> (?: ^--\ (?!-)[^\n]*\n )* )
    ^(?P<verb> CREATE | CREATE\ OR\ REPLACE | ALTER | DROP | COMMENT\ ON )\ FUNCTION
    \ (?P<name> [\w.]+ ) \s* (?: \( (?P<arguments> [^)]* ) \) )?
    (?:
        [^;]*? \bAS\ \$(?P<tag>\w*)\$ .*? \$(?P=tag)\$ [^;]*;
        | [^;]*? \bBEGIN\ ATOMIC\b .*? ^END;
        | \s+IS \s+ '(?:[^']|'')*';
        | .*?;
    )\n
    """,
    re.DOTALL | re.MULTILINE | re.VERBOSE,
)


@dataclass(slots=True)
class Function:
    """What the migrations say of a function: made by which one, how, and what for."""

    name: str
    arguments: str
    migration: str
    text: str
    comment: str = ""

    def __str__(self) -> str:
        return f"-- {self.migration}\n{self.text}{self.comment}"


def written(migrations: list[Migration]) -> str:
    """Return the text of the file after these migrations."""
    by_name = sorted(present(migrations), key=lambda one: (one.name, one.arguments))
    return "\n".join([_HEAD, *map(str, by_name)])


def present(migrations: list[Migration]) -> list[Function]:
    """Return the functions there are, the one made last at the end."""
    found: list[Function] = []
    for migration in migrations:
        for statement in _STATEMENT.finditer(migration.text):
            _heed(statement, migration.name, found)
    return found


def _heed(statement: re.Match[str], migration: str, found: list[Function]) -> None:
    name = statement["name"] if "." in statement["name"] else f"public.{statement['name']}"
    arguments = _spelled_out(statement["arguments"] or "")
    namesakes = [one for one in found if one.name == name]
    match statement["verb"]:
        case "COMMENT ON":
            for one in namesakes[-1:]:  # none: it is made at run time
                one.comment = statement[0]
        case "ALTER":
            namesakes[-1].text += statement[0]
        case "DROP":
            for one in namesakes:
                is_alone = statement["arguments"] is None
                if is_alone or one.arguments.count(",") == arguments.count(","):
                    found.remove(one)
        case _:
            before = [one for one in namesakes if one.arguments == arguments]
            comment = before[0].comment if before else ""
            found[:] = [one for one in found if one not in before]
            text = re.sub(
                "^CREATE FUNCTION", "CREATE OR REPLACE FUNCTION", statement[0], flags=re.M
            )
            found.append(Function(name, arguments, migration, text, comment))


def _spelled_out(arguments: str) -> str:
    return " ".join(re.sub(r" DEFAULT [^,]*", "", arguments).split())


if __name__ == "__main__":
    FILE.write_text(written(available()), encoding="utf-8")
