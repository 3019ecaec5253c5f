"""Load for the text classifier in the cluster: each user sends at a pace of its own, at most one request at a time.

A closed loop: once every user waits for an answer, no more is sent, so a slow server looks better than it is. Give more
users than the rate needs, and judge an SLO with `batchlab load`, which sends as planned.
"""

import itertools
import os

from locust import FastHttpUser, constant_throughput, task

MODEL = os.environ.get("MODEL", "text_classifier")
# Of different lengths, as messages are: the longest of a batch decides what all of it costs.
MESSAGES = (
    "Where is my parcel?",
    "I was charged twice for the same order and would like one of the two payments back.",
    "The app closes as soon as I open the settings. I have installed it again, restarted the phone and cleared what it "
    "had stored, and it still does so, on two different phones. Since the last update I cannot change my address.",
)


class Customer(FastHttpUser):
    """One connection that asks for the class of a message."""

    wait_time = constant_throughput(float(os.environ.get("REQUESTS_PER_USER", "1")))
    host = os.environ.get("TARGET", "http://triton:8000")

    def on_start(self) -> None:
        """Begin with the first message."""
        self.messages = itertools.cycle(MESSAGES)

    @task
    def classify(self) -> None:
        """Send one message."""
        tensor = {"name": "text", "shape": [1, 1], "datatype": "BYTES", "data": [next(self.messages)]}
        self.client.post(f"/v2/models/{MODEL}/infer", json={"inputs": [tensor]}, name=MODEL)
