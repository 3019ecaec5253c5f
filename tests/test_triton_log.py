"""Triton's log, told to a learner."""

from pathlib import Path

from batchlab import triton_log

LOG = """\
W1124 06:32:37.083857 8769 pinned_memory_manager.cc:273] "Unable to allocate pinned system memory"
E1124 06:32:37.084255 8769 server.cc:241] "CudaDriverHelper has not been initialized."
+------------------+------+
| Repository Agent | Path |

Error: Failed to initialize NVML
W1124 06:32:37.087671 8769 metrics.cc:798] "DCGM unable to start: DCGM initialization error"
I1124 06:32:37.093860 8769 grpc_server.cc:2558] "Started GRPCInferenceService at 127.0.0.1:18552"
[libprotobuf ERROR /a/text_format.cc:337] Error parsing text-format inference.ModelConfig: 3:15: no field "max_batch".
E1124 06:32:39.967214 8769 model_repository_manager.cc:1460] "Poll failed for model directory 'typo': failed to read text proto from /r/typo/config.pbtxt"
E1124 06:32:39.968166 8769 model_repository_manager.cc:1460] "Poll failed for model directory 'other': no backend."
"""  # noqa: E501


def test_harmless_noise_is_left_out() -> None:
    assert [line.split("] ")[-1][:30] for line in triton_log.clean(LOG)] == [
        '"Started GRPCInferenceService ',
        "Error parsing text-format infe",
        '"Poll failed for model directo',
        '"Poll failed for model directo',
    ]


def test_the_reason_of_a_typo_carries_line_and_column() -> None:
    assert triton_log.reason(LOG, "typo") == (
        "Poll failed for model directory 'typo': failed to read text proto from /r/typo/config.pbtxt: "
        '3:15: no field "max_batch".'
    )


def test_the_reason_is_the_models_own() -> None:
    assert triton_log.reason(LOG, "other") == "Poll failed for model directory 'other': no backend."
    assert triton_log.reason(LOG, "third") == ""


def test_a_log_is_read_from_a_mark_on(tmp_path: Path) -> None:
    path = tmp_path / "log"
    assert triton_log.read(path) == ""
    assert triton_log.size(path) == 0
    path.write_text("old\n")
    mark = triton_log.size(path)
    path.write_text("old\nnew\n")
    assert triton_log.read(path, mark) == "new\n"


def test_a_taken_port_is_seen() -> None:
    assert triton_log.port_taken("Unavailable - Socket '127.0.0.1:80' already in use ")
    assert not triton_log.port_taken(LOG)
