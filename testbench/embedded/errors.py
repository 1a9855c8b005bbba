"""The one error of the embedded services."""


class EmbeddedUnavailable(RuntimeError):
    """The embedded services cannot work here; the message, of one line, says what to do instead.

    Attributes:
        cause: The message without the advice, for who has another to give.
    """

    def __init__(self, cause: str) -> None:
        self.cause = " ".join(cause.split())
        super().__init__(
            f"{self.cause}; run `docker compose up -d db` "
            "or point ELETROPOSTO_DATABASE_URL at a TimescaleDB server"
        )
