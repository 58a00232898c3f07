"""A running service, and its page in a browser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A service in a process of its own."""
    from service_process import running

    with running(tmp_path_factory.mktemp("service") / "state") as service:
        yield service


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A browser."""
    from service_page import chromium

    with chromium() as browser:
        yield browser


@pytest.fixture
def watched(browser: Any, service: Any) -> Iterator[Any]:
    """The page of the service, in which nothing may go wrong, and which asks nobody else for anything."""
    from service_page import open_page

    watched = open_page(browser, service)
    yield watched
    assert not watched.problems
    elsewhere = [request for request in watched.requests if not re.match(rf"\w+ (blob:)?{service.url}", request)]
    assert not elsewhere
    watched.page.context.close()
