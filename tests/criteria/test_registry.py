import re
from pathlib import Path

import pytest

from prunus import criteria
from prunus.criteria import Magnitude, Random, Taylor
from prunus.errors import CriterionError


def test_get_by_name():
    assert criteria.get("magnitude") == Magnitude(p=2)
    assert criteria.get("taylor") == Taylor(joint=True)


def test_an_instance_passes_through():
    criterion = Random(seed=3)
    assert criteria.get(criterion) is criterion


def test_unknown_name_offers_the_nearest():
    with pytest.raises(CriterionError, match="there is no criterion 'magnitud'") as caught:
        criteria.get("magnitud")
    assert caught.value.hint == "did you mean 'magnitude'?"


def test_every_file_is_found():
    files = {path.stem for path in Path(criteria.__file__).parent.glob("[a-z]*.py")}
    assert set(criteria.names()) == files - {"base"}


@pytest.mark.parametrize(
    ("class_name", "name"),
    [("Magnitude", "magnitude"), ("BatchNormScale", "batch_norm_scale"), ("FPGM", "fpgm")],
)
def test_names_are_class_names_in_snake_case(class_name, name):
    assert criteria._snake_case(class_name) == name


def test_unknown_attribute():
    with pytest.raises(AttributeError, match=re.escape("has no attribute 'Magnitud'")):
        _ = criteria.Magnitud


def test_dir_shows_the_classes():
    assert {"Magnitude", "Taylor", "get"} <= set(dir(criteria))
