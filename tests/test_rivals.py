"""What is said of other servers: complete, with units, sources and dates, and true of what is started here."""

import re

from batchlab import protocol, rival_adapters, rivals


def test_every_server_has_every_knob_and_a_dated_source():
    for name, server in rivals.servers().items():
        for knob in (server.max_wait, server.max_batch, server.workers):
            assert knob != rivals.NONE, name
        assert server.max_wait.unit in ("us", "ms", "s"), name
        assert server.source.startswith("https://")
        assert server.maintenance.source.startswith("https://")
        assert re.fullmatch(r"20\d\d-\d\d-\d\d", server.maintenance.read)
        assert re.search(r"20\d\d-\d\d", server.maintenance.since)


def test_a_wait_is_told_in_each_server_s_own_unit():
    waits = {name: server.max_wait.of(5) for name, server in rivals.servers().items()}
    assert waits == {"triton": 5000, "torchserve": 5, "litserve": 0.005, "mosec": 5, "tfserving": 5000}


def test_the_tables_have_a_row_for_each():
    titles = {server.title for server in rivals.servers().values()}
    assert set(rivals.glossary().index) == set(rivals.operations().index) == titles
    assert rivals.glossary().loc["LitServe", "queue"] == "none"
    assert rivals.glossary().loc["TensorFlow Serving", "queue"] == "max_enqueued_batches (batches)"
    assert "2025-08-07" in rivals.operations().loc["TorchServe", "maintenance"]


def test_the_names_are_those_of_adapters_and_protocols():
    servers = rivals.servers()
    for adapter in rival_adapters.ADAPTERS:
        assert servers[adapter.name].title == adapter.title
        assert servers[adapter.name].protocol == adapter.name
    presets = {preset.name for preset in protocol.PRESETS} | {protocol.KSERVE}
    assert {server.protocol for server in servers.values()} <= presets


def test_the_knobs_of_torchserve_are_those_of_its_file():
    settings = {"ports": [1, 2, 3, 4, 5], "workers": 1, "model": "m", "max_batch_size": 8, "max_wait_ms": 5, "queue": 9}
    text = rival_adapters.torchserve_properties(settings)
    for knob in (rivals.servers()["torchserve"].max_wait, rivals.servers()["torchserve"].max_batch):
        assert f'"{knob.name}"' in text
    assert f"{rivals.servers()['torchserve'].queue.name}=9\n" in text
