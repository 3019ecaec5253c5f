"""The committed repository is what the code renders; reading it says clearly what is wrong."""

import pytest

from batchlab import repository
from batchlab.repository import DynamicBatching, ModelConfig, RepositoryError
from batchlab.workspace import repository_dir


def test_committed_files_equal_the_rendering():
    committed = repository.committed()
    assert repository.models() == sorted(committed)
    for name, config in committed.items():
        text = (repository_dir() / name / "config.pbtxt").read_text(encoding="utf-8")
        assert text == config.to_pbtxt(), f"{name}: run python -m batchlab.repository"
        assert repository.read(name) == config


def test_committed_variants_equal_the_rendering():
    files = {str(path.relative_to(repository_dir())) for path in repository_dir().glob("*/configs/*.pbtxt")}
    variants = {name: config for name, config in repository.rendered().items() if "/configs/" in name}
    assert files == set(variants)
    for name, config in variants.items():
        assert (repository_dir() / name).read_text(encoding="utf-8") == config.to_pbtxt()
        # Triton wants the folder's name in every variant.
        assert config.name == name.split("/")[0]


def test_every_committed_model_has_a_version_folder():
    for name in repository.committed():
        assert (repository_dir() / name / "1").is_dir()


def test_write_renders_what_is_missing_and_then_nothing(tmp_path):
    assert repository.write(tmp_path) == list(repository.rendered())
    assert repository.models(tmp_path) == sorted(repository.committed())
    assert (tmp_path / "resnet50" / "1" / ".gitkeep").is_file()
    assert repository.write(tmp_path) == []
    (tmp_path / "null" / "config.pbtxt").write_text('name: "null"\n')
    assert repository.write(tmp_path) == ["null/config.pbtxt"]
    assert not list(tmp_path.rglob("*.part"))


def test_difference_of_two_configurations():
    before = repository.read("resnet50").replace(dynamic_batching=DynamicBatching(5000))
    after = before.replace(dynamic_batching=DynamicBatching(20000))
    assert repository.difference(before, after) == ["dynamic_batching.max_queue_delay_microseconds: 5000 -> 20000"]
    assert repository.difference(before, before) == []


def place(folder, model, text):
    (folder / model).mkdir()
    (folder / model / "config.pbtxt").write_text(text)


def test_a_typo_names_the_file(tmp_path):
    place(tmp_path, "m", 'name: "m"\nmax_batchsize: 8\n')
    with pytest.raises(RepositoryError, match=r"m/config\.pbtxt:2:1: .*Did you mean 'max_batch_size'"):
        repository.read("m", tmp_path)


def test_an_unknown_model_names_the_nearest(tmp_path):
    place(tmp_path, "resnet50", 'name: "resnet50"\n')
    with pytest.raises(RepositoryError, match=r"no model 'resnet5'\. Did you mean 'resnet50'\?"):
        repository.read("resnet5", tmp_path)
    with pytest.raises(RepositoryError, match=r"no model 'bert'\. It holds: resnet50\."):
        repository.read("bert", tmp_path)
    with pytest.raises(RepositoryError, match=r"It holds: no model"):
        repository.read("bert", tmp_path / "resnet50")


def test_the_folder_gives_the_name_that_the_file_leaves_out(tmp_path):
    place(tmp_path, "m", "max_batch_size: 8\n")
    assert repository.read("m", tmp_path) == ModelConfig("m", max_batch_size=8)


def test_a_name_other_than_the_folders_is_refused(tmp_path):
    place(tmp_path, "m", 'name: "n"\n')
    with pytest.raises(RepositoryError, match=r"name is 'n' in the folder 'm'"):
        repository.read("m", tmp_path)
