"""The twin's arrays: a server at rest."""

import numpy as np

from batchlab.twin_state import LEVEL, MODEL, NEVER, NONE, REQUEST, idle


def at_rest():
    models = np.zeros(2, MODEL)
    models["instances"], models["device"] = [1, 3], [NONE, 0]
    tables = {
        "preferred": np.zeros((2, 5), bool),
        "service_ns": np.zeros((2, 5)),
        "needs": np.zeros((2, 0), np.int64),
        "available": np.zeros(0, np.int64),
    }
    return models, idle(models, np.zeros((2, 1), LEVEL), np.zeros(7, REQUEST), **tables)


def test_a_server_at_rest_has_all_its_instances_and_no_batch():
    models, w = at_rest()
    assert w.models["free"].tolist() == [1, 3]
    assert (w.models["wake_ns"] == NEVER).all()
    for name in ("current", "ahead_head", "ahead_tail", "refused"):
        assert (w.models[name] == NONE).all()
    assert (w.queues["head"] == NONE).all()
    assert w.instances.shape == (2, 3)
    assert len(w.device_free_ns) == 1
    assert models["free"].tolist() == [0, 0], "what was told stays as it was"


def test_there_is_room_for_a_batch_of_each_request():
    _, w = at_rest()
    # One more for each model: the batch that it fills when the last request has left.
    assert len(w.batches) == 7 + 2 + 1
