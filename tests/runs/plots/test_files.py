import pytest
from matplotlib.colors import to_hex
from support.faults import FullDisk

from jaxmetrics.figures import THEMES, new_figure
from jaxmetrics.runs.plots._files import FORMATS, is_own_plot, save_figure


def test_plots_are_recognized_by_their_metadata(tmp_path):
    save_figure(new_figure(1, 1), tmp_path / "own.png", dpi=20)
    (tmp_path / "other.png").write_bytes(b"\x89PNG")
    assert is_own_plot(tmp_path / "own.png")
    assert not is_own_plot(tmp_path / "other.png")
    assert not is_own_plot(tmp_path / "missing.png")


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_plot_of_each_format_and_theme_is_recognized(tmp_path, suffix):
    path = tmp_path / f"own.{suffix}"
    for palette in THEMES.values():
        figure = new_figure(1, 1)
        save_figure(figure, path, dpi=20, palette=palette)
        assert is_own_plot(path)
        assert to_hex(figure.get_facecolor()) == palette.background


def test_any_file_is_replaced_with_overwrite(tmp_path):
    path = tmp_path / "plot.png"
    path.write_bytes(b"mine")
    with pytest.raises(FileExistsError, match="pass overwrite=True to replace it"):
        save_figure(new_figure(1, 1), path, dpi=20)
    save_figure(new_figure(1, 1), path, dpi=20, overwrite=True)
    assert is_own_plot(path)


def test_a_full_disk_leaves_the_old_plot(tmp_path, monkeypatch):
    path = tmp_path / "plot.png"
    save_figure(new_figure(1, 1), path, dpi=20)
    before = path.read_bytes()
    disk = FullDisk(monkeypatch)
    disk.room = 100
    with pytest.raises(OSError, match="No space left"):
        save_figure(new_figure(2, 2), path, dpi=20)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]
