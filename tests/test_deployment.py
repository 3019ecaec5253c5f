"""A variant beside the served model: same signature, another name, loaded into a running Triton without a restart."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from batchlab import deployment, networks, repository, server, text, text_model, variants
from batchlab.deployment import DeploymentError
from batchlab.server import Server
from batchlab.variants import Variant


@pytest.fixture(scope="module")
def variant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Variant]:
    text_model.build()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BATCHLAB_HOME", str(tmp_path_factory.mktemp("home")))
        yield variants.make(networks.text_encoder(), "fp16")


@pytest.fixture(scope="module")
def triton(variant: Variant) -> Iterator[Server]:
    with server.start(["text_classifier"], reuse=False, extra_args=deployment.shelf()) as started:
        yield started


def test_only_the_name_differs_from_the_network_that_it_replaces(variant: Variant) -> None:
    name = deployment.place(variant)
    assert name == "text_encoder_fp16"
    made = repository.read(name, deployment.folder())
    assert repository.difference(repository.read("text_encoder"), made.replace(name="text_encoder")) == []
    assert (deployment.folder() / name / "1" / "model.onnx").resolve() == variant.path
    assert deployment.place(variant) == name  # again, over what is there


def test_what_torch_runs_cannot_be_served(variant: Variant) -> None:
    with pytest.raises(DeploymentError, match="'eager' runs in this process"):
        deployment.place(Variant("eager", variant.network, variant.run))


@pytest.mark.server
def test_users_are_answered_by_the_new_network_without_a_restart(triton: Server, variant: Variant) -> None:
    pid = triton.pid
    name = deployment.place(variant)
    triton.load(name)
    triton.reconfigure("text_classifier", parameters={"encoder": name})
    texts = text.messages("test")[:8]
    answer = triton.infer("text_classifier", text.as_input(texts))
    assert triton.statistics(name).requests > 0
    expected = variant.run(text.padded(texts))
    assert np.allclose(answer["score"][:, 0], expected.max(axis=1), atol=1e-3)
    assert triton.pid == pid


def test_the_folder_is_in_the_workspaces_home(home: Path) -> None:
    assert deployment.folder().is_relative_to(home)
    assert deployment.shelf() == ("--model-repository", str(deployment.folder()))
