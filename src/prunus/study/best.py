"""The run whose model one takes home."""

from prunus.errors import StudyError
from prunus.study.analysis import analyse
from prunus.study.recommend import winner_of
from prunus.study.records import Run, Study


def best(study: Study, *, granularity: str = "channel") -> Run:
    """Return the best pruned run: the smallest that is as accurate as the dense model.

    The choice is between strategies at a budget, over all their seeds. Those with the verdict
    "same" come first, of these the smallest budget, and then as in the recommendation. Where none
    is the same, it is the most accurate. Of the chosen the first seed is taken, not the luckiest.

    Raises:
        StudyError: Nothing was pruned at that granularity.
    """
    found = analyse(study)
    cells = [cell for cell in found.within(granularity) if cell.kind == "pruned"]
    if not cells:
        raise StudyError(
            f"no run has pruned anything at granularity '{granularity}'",
            hint="let the study finish, or look at another granularity",
        )
    same = [cell for cell in cells if cell.verdict == "same"]
    if not same:
        return max(cells, key=lambda cell: cell.accuracy).runs[0]
    least = min(cell.point.fraction for cell in same)
    return winner_of([cell for cell in same if cell.point.fraction == least], found).runs[0]
