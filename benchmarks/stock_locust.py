"""Locust as it comes: users that wait for their answers and pace themselves, for `bench_sender` to compare with."""

from locust import FastHttpUser, constant_throughput, task

PER_USER_RPS = 10


class Stock(FastHttpUser):
    """One user of the closed loop, asked for ten requests a second."""

    wait_time = constant_throughput(PER_USER_RPS)

    @task
    def infer(self) -> None:
        """Send one request to the exactly known server."""
        self.client.post("/v2/models/fixed/infer", data=b"{}")
