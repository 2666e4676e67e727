"""The HTTP server of ``sonde run``: the only package that imports aiohttp.web."""
