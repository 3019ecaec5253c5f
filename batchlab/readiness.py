"""One request apart from a run: before it, whether anyone answers; after it, whether the queue is empty."""

import contextlib
import http.client
import json
from dataclasses import replace

from batchlab.plan import Plan
from batchlab.recording import LoadError

TOO_MANY = 429


def probe(plan: Plan) -> None:
    """Send one request of the plan and wait for its answer.

    Raises:
        LoadError: the server is not there, or says that the request is wrong; the message is the server's own.
    """
    body = plan.bodies[0]
    path, headers = body.target(plan.model)
    connection = http.client.HTTPConnection(plan.url, timeout=plan.timeout_s)
    try:
        connection.request("POST", path, body.data, headers)
        answer = connection.getresponse()
        text = answer.read().decode(errors="replace")
    except OSError as error:
        raise LoadError(f"No answer from {plan.url}: {error}. Is the server running, and is the model quick "
                           f"enough to answer within {plan.timeout_s:g} s?") from error  # fmt: skip
    except http.client.HTTPException as error:
        raise LoadError(f"{plan.url} does not speak HTTP: {type(error).__name__}. Is that the right port?") from error
    finally:
        connection.close()
    # A full queue (503, 429) is part of what a load run measures; a wrong request is not.
    if 400 <= answer.status < 500 and answer.status != TOO_MANY:
        with contextlib.suppress(ValueError, KeyError, TypeError):
            text = json.loads(text)["error"]
        raise LoadError(f"Model {plan.model!r} at {plan.url} refuses the request ({answer.status}): {text}")


def settle(plan: Plan, at_most_s: float) -> None:
    """Wait until one more request is answered, or for `at_most_s`.

    A queue of equals is first in, first out: whoever is answered has nobody older before it. Triton goes on with
    requests whose client has given up, so an overload lasts longer than the run that made it.
    """
    with contextlib.suppress(LoadError):
        probe(replace(plan, timeout_s=at_most_s))
