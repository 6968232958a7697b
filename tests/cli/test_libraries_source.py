"""Models and data of other libraries: with stand-ins, as only transformers is installed."""

import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
from torch import nn

from prunus.cli.asked import Asked
from prunus.cli.libraries import image_folders, torchvision_network, transformers_model
from prunus.errors import DataError, PruneError


def network(name: str, weights: object = None, *, pretrained: bool = False) -> nn.Module:
    """Build a small classifier of images; fetching weights fails."""
    if weights or pretrained:
        raise OSError("no network\nand more words")
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 3), nn.Flatten())
    model.default_cfg = {"input_size": (3, 9, 9)}
    return model


class ImageFolder:
    """Finds the folders in a folder, as torchvision does."""

    def __init__(self, root: Path, transform: object) -> None:
        self.root = root
        self.classes = sorted(path.name for path in root.iterdir())
        if not self.classes:
            raise FileNotFoundError("no class folder")

    def __len__(self) -> int:
        return 1


@pytest.fixture(autouse=True)
def libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    weights = SimpleNamespace(transforms=partial(print, crop_size=9))
    models = SimpleNamespace(
        list_models=lambda: ["resnet18", "vgg11"],
        get_model_weights=lambda name: SimpleNamespace(DEFAULT=weights),
        get_model=network,
    )
    transforms = SimpleNamespace(Compose=list, Resize=str, ToTensor=str, Normalize=max)
    datasets = SimpleNamespace(ImageFolder=ImageFolder)
    torchvision = SimpleNamespace(models=models, transforms=transforms, datasets=datasets)
    timm = SimpleNamespace(
        is_model=lambda name: name == "resnet18",
        list_models=lambda: ["resnet18"],
        create_model=network,
    )
    monkeypatch.setitem(sys.modules, "torchvision", torchvision)
    monkeypatch.setitem(sys.modules, "timm", timm)


@pytest.mark.parametrize("library", ["torchvision", "timm"])
def test_no_weights_are_fetched_to_inspect(run, library):
    result = run("inspect", f"{library}:resnet18")
    assert result.exit_code == 0, result.output
    assert "1 of 3 groups may lose units" in result.stdout


def test_the_size_of_images_is_that_of_the_weights():
    _, inputs = torchvision_network(Asked(name="vgg11", trained=False))
    assert inputs.shape == (1, 3, 9, 9)


@pytest.mark.parametrize("library", ["torchvision", "timm"])
def test_weights_that_cannot_be_fetched(refused, library):
    message = refused("prune", f"{library}:resnet18", "--budget", "macs=0.5")
    assert f"{library}:resnet18 could not be found or fetched\n  why:  no network\n" in message


@pytest.mark.parametrize("library", ["torchvision", "timm"])
def test_an_unknown_network(refused, library):
    message = refused("inspect", f"{library}:resnet81")
    assert f"{library} has no network 'resnet81'\n  hint: did you mean resnet18?" in message


@pytest.mark.parametrize("library", ["torchvision", "timm"])
def test_a_library_that_is_not_installed(refused, monkeypatch, library):
    monkeypatch.setitem(sys.modules, library, None)
    message = refused("inspect", f"{library}:resnet18")
    assert f"needs {library}, which is not installed\n  hint: pip install {library}" in message


# -- transformers ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save a tiny language model, as its users do."""
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    transformers.utils.logging.disable_progress_bar()
    config = transformers.LlamaConfig(
        vocab_size=20, hidden_size=8, intermediate_size=16, num_hidden_layers=1,
        num_attention_heads=2, num_key_value_heads=2,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("llama")
    transformers.LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def test_a_language_model_takes_numbers_of_tokens(llama):
    model, inputs = transformers_model(Asked(name=str(llama), shape=(2, 5)))
    assert inputs["input_ids"].shape == (2, 5)
    assert int(inputs["input_ids"].max()) < 20
    assert model.config.use_cache is False


def test_a_language_model_is_pruned(run, llama):
    result = run("prune", f"hf:{llama}", "--budget", "macs=0.8", "--out", "small")
    assert result.exit_code == 0, result.output
    assert run("inspect", "small", "--dense", f"hf:{llama}").exit_code == 0


def test_a_folder_that_names_no_architecture(llama):
    path = Path("nameless")
    path.mkdir()
    text = (llama / "config.json").read_text(encoding="utf-8")
    (path / "config.json").write_text(text.replace("LlamaForCausalLM", "Nothing"))
    with pytest.raises(PruneError, match="names no architecture of transformers"):
        transformers_model(Asked(name="nameless"))


# -- images ---------------------------------------------------------------------------------------


def folders(*names: str) -> Path:
    for name in names:
        Path("images", name).mkdir(parents=True)
    return Path("images")


def test_images_to_train_and_to_test_on():
    folder = folders("train/cat", "train/dog", "val/cat", "val/dog")
    train, test, classes = image_folders(folder, size=(9, 9), batch=4)
    assert (train.dataset.root, test.dataset.root) == (folder / "train", folder / "val")
    assert classes == 2


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (("train/cat",), "there is no folder 'images/test'"),
        (("cat", "dog"), "there is no folder 'images/train'"),
        (("train", "test"), "'images/train' holds no images by class"),
        (("train/cat", "test/dog"), "classes of 'images/train' and 'images/test' differ"),
    ],
)
def test_images_that_are_not_there(names, words):
    with pytest.raises(DataError, match=words):
        image_folders(folders(*names), size=(9, 9), batch=4)
