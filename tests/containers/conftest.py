"""What takes minutes and hangs on nothing else is begun first: the host is set up while the lab image is built."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack

import host as hosts
import pytest
from host import Host


@pytest.fixture(scope="session", autouse=True)
def coming_host(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Future[Host] | None]:
    """The host that is being set up; None where no test of this run asks for it."""
    if not any("host" in getattr(item, "fixturenames", ()) for item in request.session.items):
        yield None
        return
    with ExitStack() as held, ThreadPoolExecutor(max_workers=1) as thread:
        yield thread.submit(held.enter_context, hosts.running(tmp_path_factory.mktemp("host")))


@pytest.fixture(scope="session")
def host(coming_host: Future[Host]) -> Host:
    """The host, set up."""
    made = coming_host.result()
    print("\nHost: " + ", ".join(f"{step} {seconds:.0f} s" for step, seconds in made.seconds.items()))
    return made
