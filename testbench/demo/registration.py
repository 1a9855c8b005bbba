"""What an operator would enter before the first charger connects: who may connect and charge."""

import os
from dataclasses import dataclass

import psycopg
from psycopg.types.json import Jsonb

from testbench.network import ID_TAGS, SITES


@dataclass(frozen=True, slots=True)
class Place:
    name: str
    site: str
    latitude: float
    longitude: float


_PLACES = {
    "BENCH-1": Place("Bancada de testes", "Laboratório, campus Guamá", -1.4640, -48.4440),
    "DEPOT-1": Place("Garagem dos ônibus", "Garagem, Belém", -1.4285, -48.4610),
    "CAMPUS-1": Place("Estacionamento da reitoria", "Campus Guamá", -1.4757, -48.4560),
    "CAMPUS-2": Place("Biblioteca central", "Campus Guamá", -1.4770, -48.4575),
}
_ALIASES = {"BUS": "Ônibus", "CAR": "Carro"}
_AUTHOR = "demo"
_TARIFF = {
    "name": "Tarifa inventada para a demonstração",
    "consumer_group": "A",
    "modality": "verde",
    "valid_from": "2020-01-01",
    "contracted_demand_kw": 120,
    "source": "inventada: não é tarifa de nenhuma distribuidora",
}
_PERIODS = [
    {"posto": "ponta", "from_time": "18:00", "to_time": "21:00", "price_per_kwh": 1.9},
    {"posto": "fora_ponta", "price_per_kwh": 0.6},
]


def register(url: str) -> None:
    """Enter charge points, connectors, id tags and a tariff, unless they are there."""
    with psycopg.connect(url) as connection:
        for site in SITES:
            _register_charge_point(connection, site.charge_point_id)
            for number, outlet in enumerate(site.nameplate.outlets, start=1):
                current_type = "AC" if outlet.phases else "DC"
                connection.execute(
                    "INSERT INTO connector (charge_point_id, connector_id, current_type,"
                    " rated_power_w) SELECT charge_point_id, %s, %s, %s FROM charge_point"
                    " WHERE identity = %s ON CONFLICT DO NOTHING",
                    [number, current_type, outlet.rated_power_w, site.charge_point_id],
                )
        for id_tag in ID_TAGS:
            kind, _, number_text = id_tag.partition("-")
            connection.execute(
                "INSERT INTO id_tag (id_tag, alias) VALUES (%s, %s) ON CONFLICT DO NOTHING",
                [id_tag, f"{_ALIASES[kind]} {number_text}"],
            )
        _add_tariff(connection)


def _register_charge_point(connection: psycopg.Connection, identity: str) -> None:
    place = _PLACES[identity]
    connection.execute(
        "INSERT INTO charge_point (identity, name, site, latitude, longitude)"
        " VALUES (%s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
        [identity, place.name, place.site, place.latitude, place.longitude],
    )


def _add_tariff(connection: psycopg.Connection) -> None:
    found = connection.execute(
        "SELECT 1 FROM tariff WHERE author = %s AND name = %s", [_AUTHOR, _TARIFF["name"]]
    )
    if found.fetchone() is None:
        connection.execute(
            "SELECT report.add_tariff(%s, %s, %s)", [Jsonb(_TARIFF), Jsonb(_PERIODS), _AUTHOR]
        )


if __name__ == "__main__":
    register(os.environ["ELETROPOSTO_DATABASE_URL"])
