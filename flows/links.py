"""Where in the dashboard the figures of a run are. Pure."""

from datetime import timedelta
from urllib.parse import urlencode

from flows.scope import LOCAL, Scope

_PAGES = {
    "sessions": "sessoes",
    "soc": "sessoes",
    "consumption": "consumo",
    "availability": "disponibilidade",
    "quality": "qualidade",
    "rebuild": "qualidade",
    "reconcile_dojot": "qualidade",
    "reports": "relatorios",
}


def dashboard_link(url: str, name: str, scope: Scope) -> str:
    """Return the address of a flow's page, with the days and charge points of the run chosen."""
    chosen: list[tuple[str, str]] = []
    if scope.start is not None and scope.end is not None:
        last = scope.end.astimezone(LOCAL) - timedelta(microseconds=1)
        chosen = [
            ("de", scope.start.astimezone(LOCAL).date().isoformat()),
            ("ate", last.date().isoformat()),
        ]
    chosen += [("estacao", identity) for identity in scope.charge_points]
    query = f"?{urlencode(chosen)}" if chosen else ""
    return f"{url.rstrip('/')}/{_PAGES.get(name, '')}{query}"
