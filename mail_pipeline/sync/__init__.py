"""The engine: fetches with `nylas`, stores with `lake`; the only room that knows both."""
