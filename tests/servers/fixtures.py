"""Fixtures of the real servers: started on first use, once per session and worker.

A server whose program is absent skips its tests with the reason; under ``REQUIRE_SERVICES=1`` it
fails them.
"""
