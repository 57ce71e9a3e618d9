"""Rows over the network with Arrow Flight, drawn no faster than the reader takes them.

    python pipelines/recipes/flight_server.py visits.synthgan

A client asks with a ticket of JSON, ``{"rows": 1000000, "seed": 7, "where": {"ward": "north"}}``,
and reads batches; if it stops reading, drawing stops. ``sample_iter`` is a generator, and so feeds
the body of an HTTP response as well, for example FastAPI's ``StreamingResponse``.
"""

import json
import sys

import pyarrow as pa
import pyarrow.flight as flight

from synthgan import load_model


class RowServer(flight.FlightServerBase):
    """Gives rows of one model to any number of clients at a time."""

    def __init__(self, location: str, model: str, batch_rows: int = 8192) -> None:
        super().__init__(location)
        self.model, self.batch_rows = load_model(model, device="cpu"), batch_rows

    def do_get(self, context: object, ticket: flight.Ticket) -> flight.GeneratorStream:
        """Stream what the ticket asks for."""
        asked = json.loads(ticket.ticket)
        batches = self.model.sample_iter(
            int(asked["rows"]),
            self.batch_rows,
            conditions=asked.get("where"),
            random_state=asked.get("seed"),
        )
        empty = pa.Table.from_batches(self.model.sample_iter(1)).schema
        return flight.GeneratorStream(empty, batches)


if __name__ == "__main__":
    server = RowServer("grpc://0.0.0.0:8815", sys.argv[1])
    print(f"serving on port {server.port}")
    server.serve()
