"""The report of a study: one HTML file that works offline, and the same as Markdown."""

from pathlib import Path

from prunus.files import atomic_write, disk_errors
from prunus.study.records import Study
from prunus.study.report.content import build
from prunus.study.report.html import to_html
from prunus.study.report.markdown import to_markdown

__all__ = ["write_report"]


def write_report(study: Study, folder: str | Path) -> tuple[Path, Path]:
    """Write `report.html` and `report.md`; the same study gives the same files.

    Args:
        study: Finished or not; what is missing is said.
        folder: Made if it is not there. Reports in it are replaced.

    Returns:
        The paths of the two files.

    Raises:
        StudyError: plotly is not installed; nothing is written.
        SaveError: The disk refuses; each file is the old or the new one, whole.
    """
    document = build(study)
    texts = {"report.html": to_html(document), "report.md": to_markdown(document)}
    folder = Path(folder)
    with disk_errors(f"'{folder}' could not be made"):
        folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        atomic_write(folder / name, text)
    return folder / "report.html", folder / "report.md"
