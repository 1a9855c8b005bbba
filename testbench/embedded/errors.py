"""The one error of the embedded services."""


class EmbeddedUnavailable(RuntimeError):
    """The embedded services cannot work here; the message, of one line, says what to do instead."""

    def __init__(self, cause: str) -> None:
        super().__init__(
            f"{' '.join(cause.split())}; run `docker compose up -d db` "
            "or point ELETROPOSTO_DATABASE_URL at a TimescaleDB server"
        )
